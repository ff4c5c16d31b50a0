"""What a recipe's reader is told: the file, the line, the key, and the name that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.tiny import TINY

from bottega.errors import UserError
from bottega.lineage.recipe import Recipe, load, parse, shipped


def fault(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(text, "family.toml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    text = TINY.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


def line_of(text: str, beginning: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith(beginning))


def tiny() -> Recipe:
    return load(TINY)


def test_a_sound_recipe_loads_with_its_types() -> None:
    recipe = tiny()
    assert list(recipe.models) == ["davinci", "code-davinci", "text-davinci", "text-davinci-scratch"]
    assert recipe.models["code-davinci"].parent == ("davinci",)
    assert recipe.models["code-davinci"].data[1].role == "replay"
    assert recipe.models["davinci"].config.model_dump()["budget_tokens"] == 16384
    assert recipe.evaluations("davinci") == ["bits-per-byte:prose"]
    assert recipe.tokenizer_of("text-davinci") == "tiny"


def test_a_scaled_recipe_has_whole_steps_and_at_least_one() -> None:
    def budgets(recipe: Recipe) -> list[int]:
        return [spec.config.model_dump()["budget_tokens"] for spec in recipe.models.values()]

    steps = [spec.config.model_dump()["batch_tokens"] for spec in tiny().models.values()]
    assert budgets(tiny().scaled(0.5)) == [budget // 2 for budget in budgets(tiny())]
    assert budgets(tiny().scaled(1e-4)) == steps
    assert tiny().scaled(1.0) == tiny()


def test_every_shipped_recipe_is_sound() -> None:
    assert "school" in shipped()
    for name in shipped():
        assert load(name).name == name


@pytest.mark.parametrize(
    ("first", "second", "is_fault"),
    [
        ("", "", True),
        ('only = { lang = ["en"] }', "", True),
        ('only = { lang = ["en"] }', 'without = { lang = ["en", "fr"] }', False),
        ('only = { lang = ["en"] }', 'only = { lang = ["zh"] }', False),
        ('only = { lang = ["e*"] }', 'only = { lang = ["en"] }', True),
        ('only = { lang = ["e?"] }', 'only = { lang = ["en"] }', True),
        ('only = { lang = ["[ef]n"] }', 'only = { lang = ["en"] }', True),
    ],
)
def test_what_one_dataset_holds_out_no_other_trains_on(first: str, second: str, is_fault: bool) -> None:
    more = "".join(
        f'\n[datasets.{name}]\nheldout = {share}\n[[datasets.{name}.sources]]\nuri = "file:a.jsonl"\n{only}\n'
        for name, only, share in (("one", first, 0.1), ("two", second, 0.2))
    )
    text = TINY.read_text(encoding="utf-8") + more
    if not is_fault:
        parse(text, "family.toml")
        return
    message = fault(text)
    line = line_of(text, "heldout = 0.2")
    assert message.startswith(
        f"family.toml:{line}: datasets.two.heldout: 0.2 of file:a.jsonl is held out here"
    )
    assert "0.1 in 'one'" in message and "Give both the same share" in message
    parse(text.replace("heldout = 0.2", "heldout = 0.1"), "family.toml")


def test_sources_with_splits_of_their_own_may_hold_out_any_share() -> None:
    more = "".join(
        f'\n[datasets.{name}]\nheldout = {share}\nsources = [{{ uri = "school:prose-en", records = 9 }}]\n'
        for name, share in (("one", 0.1), ("two", 0.2))
    )
    parse(TINY.read_text(encoding="utf-8") + more, "family.toml")


def test_no_model_of_the_open_family_reads_the_wordings_held_back_for_its_claim() -> None:
    datasets = load("open-cpu").datasets
    (held_back,) = datasets["other-wordings"].sources
    for name, dataset in datasets.items():
        if name != "other-wordings":
            readers = [source for source in dataset.sources if source.uri == held_back.uri]
            assert all(source.without == held_back.only for source in readers)


@pytest.mark.parametrize(
    ("control", "model", "differs", "same_data"),
    [
        ("gpt-1-scratch", "gpt-1", {"from_scratch"}, True),
        ("code-davinci-001-prose", "code-davinci-001", {"fim_rate"}, False),
        ("code-davinci-002-code-first", "code-davinci-002", {"order"}, True),
        ("code-davinci-002-instructions-first", "code-davinci-002", {"order"}, True),
    ],
)
def test_a_control_of_the_school_differs_from_its_model_in_what_is_claimed_and_nothing_else(
    control: str, model: str, differs: set[str], same_data: bool
) -> None:
    models = load("school").models
    one, other = models[control], models[model]
    assert one.role == "control"
    assert one.parent == other.parent
    assert (one.data == other.data) is same_data
    configs = [spec.config.model_dump() for spec in (one, other)]
    assert {key for key in configs[0] if configs[0][key] != configs[1][key]} == differs


def test_a_misspelt_key_names_file_line_and_the_key_that_was_meant() -> None:
    text = changed("parent = ", "parrent = ")
    assert fault(text) == (
        f"family.toml:{line_of(text, 'parrent')}: models.code-davinci.parrent: unknown key; did you mean 'parent'?"  # noqa: E501
    )


def test_a_misspelt_key_of_the_stage_suggests_the_stages_own() -> None:
    text = changed("budget_tokens = 16384", "budget_token = 16384")
    assert fault(text).startswith(
        f"family.toml:{line_of(text, 'budget_token ')}: models.davinci.budget_token: unknown key; "
        "did you mean 'budget_tokens'?"
    )


def test_a_key_misspelt_inside_a_nested_table_suggests_that_tables_keys() -> None:
    text = changed("num_layers = 2", "num_layer = 2")
    assert "did you mean 'num_layers'?" in fault(text)


def test_a_key_like_no_other_lists_what_is_known() -> None:
    text = changed("heldout = 0.1", "zzz = 1")
    message = fault(text)
    assert message.endswith("datasets.prose.zzz: unknown key. Known here: sources, dedup, heldout, cutoff.")
    assert message.startswith(f"family.toml:{line_of(text, 'zzz')}: ")


def test_a_misspelt_table_is_named() -> None:
    assert "dataset: unknown key; did you mean 'datasets'?" in fault(
        changed("[datasets.code]", "[dataset.code]")
    )


def test_an_unknown_stage_suggests_the_nearest() -> None:
    text = changed('stage = "pretrain"', 'stage = "pretrian"')
    assert "models.davinci.stage: no stage is called 'pretrian'; did you mean 'pretrain'?" in fault(text)


def test_a_missing_stage_is_a_missing_key() -> None:
    assert "models.davinci: the key 'stage' is missing." in fault(changed('stage = "pretrain"\n', ""))


def test_a_missing_required_key_of_the_stage_is_named() -> None:
    assert "models.davinci: the key 'budget_tokens' is missing." in fault(
        changed("budget_tokens = 16384\n", "")
    )


def test_a_missing_parent_suggests_the_nearest_model() -> None:
    text = changed('parent = "davinci"', 'parent = "davinchi"')
    assert (
        "models.code-davinci.parent: no model of this recipe is called 'davinchi'; did you mean 'davinci'?"
        in fault(text)
    )


def test_a_cycle_is_spelled_out() -> None:
    text = changed('stage = "pretrain"', 'stage = "code"\nparent = "code-davinci"').replace(
        "shape = { hidden_size = 32, num_layers = 2, num_heads = 2 }\n", ""
    )
    assert "a model cannot be its own ancestor: davinci -> code-davinci -> davinci." in fault(text)


def test_a_model_that_is_its_own_parent_is_a_cycle() -> None:
    assert "code-davinci -> code-davinci" in fault(changed('parent = "davinci"', 'parent = "code-davinci"'))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('data = ["prose"]', 'data = ["prosa"]', "no dataset is called 'prosa'; did you mean 'prose'?"),
        ('tokenizer = "tiny"', 'tokenizer = "tinny"', "no tokenizer is called 'tinny'; did you mean 'tiny'?"),
        ('tokenizer = "tiny"\n', "", "the key 'tokenizer' is missing"),
        ('datasets = ["prose", "chats"]', 'datasets = ["chat"]', "tokenizers.tiny.datasets: no dataset is called 'chat'"),  # noqa: E501
        ('evals = ["text"]', 'evals = ["txt"]', "no list of [evals] is called 'txt'; did you mean 'text'?"),
        ("vocab_size = 352", "vocab_size = 12", "tokenizers.tiny.vocab_size: input should be greater than or equal to 270"),  # noqa: E501
        ("vocab_size = 352", 'vocab_size = "many"', "(given: 'many')"),
        ("heldout = 0.1", "heldout = 1.5", "datasets.prose.heldout: input should be less than 1"),
        ("budget_tokens = 16384", "budget_tokens = 0", "models.davinci.budget_tokens: input should be greater than 0"),  # noqa: E501
        ('dedup = "exact"', 'dedup = "some"', "datasets.prose.dedup: input should be 'none', 'exact', 'near' or 'prompts'"),  # noqa: E501
        ('role = "model"', 'role = "boss"', "input should be 'model', 'control' or 'base'"),
        ("[datasets.prose]", "[datasets.prose]\nuri = 3", "datasets.prose.uri: unknown key"),
        ('["code", {', '["code", { sources = ["file:x"],', "no source of the dataset 'prose' is called 'file:x'"),  # noqa: E501
        ("seed = 3", 'seed = "x"', "recipe.seed"),
        ("file:$DATA/code.jsonl", "school:prosen", "no part of the school is called 'prosen'; did you mean 'prose-en'"),  # noqa: E501
        ('"bits-per-byte:prose"', '"task:icl-english"', "evals.text: there is no evaluation 'task:icl-english'"),  # noqa: E501
    ],
)  # fmt: skip
def test_bad_values_are_named_with_their_key(old: str, new: str, said: str) -> None:
    message = fault(changed(old, new))
    assert said in message
    assert message.startswith("family.toml:")


def test_a_syntax_error_names_its_line() -> None:
    text = changed('stage = "pretrain"', 'stage = "pretrain')
    message = fault(text)
    assert message.startswith(
        f"family.toml:{line_of(text, 'stage = ' + chr(34) + 'pretrain')}: not valid TOML"
    )


def test_a_name_used_twice_names_the_second_line() -> None:
    text = changed("[models.code-davinci]", "[models.davinci]")
    message = fault(text)
    second = [n for n, line in enumerate(text.splitlines(), 1) if line == "[models.davinci]"][1]
    assert message.startswith(f"family.toml:{second}: not valid TOML")
    assert "A name may be used once" in message


def test_a_key_given_twice_is_said_to_be() -> None:
    message = fault(changed("seed = 3", "seed = 3\nseed = 4"))
    assert "not valid TOML" in message
    assert "A name may be used once" in message


def test_a_table_that_is_no_table_is_said_so() -> None:
    assert "models: must be a table" in fault("models = 3\n")


def test_an_empty_recipe_says_what_to_add() -> None:
    assert fault("") == "family.toml: models: the recipe names no model; add a [models.NAME] table."


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    assert "names are letters" in fault(changed("[models.davinci]", '[models."a/b"]'))


def test_an_unknown_shipped_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="no recipe is called 'shcool'; did you mean 'school'"):
        load("shcool")


def test_a_recipe_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recipe file"):
        load(tmp_path / "none.toml")


def test_a_recipe_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b"[recipe]\nname = 'caf\xe9'\n")
    with pytest.raises(UserError, match=r"latin\.toml:2: not UTF-8"):
        load(file)
