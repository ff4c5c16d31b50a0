"""How English states a fact, takes it up again, asks for it and answers."""

from __future__ import annotations

# Each states the fact on its own.
SAY: dict[str, tuple[str, ...]] = {
    "has": (
        "{who} has {a_value_thing}.",
        "{who} owns {a_value_thing}.",
        "{who}'s {thing} is {value}.",
        "The {value} {thing} belongs to {who}.",
        "There is {a_value_thing} here, and it is {who}'s.",
        "{who} has {a_thing}, and it is {value}.",
    ),
    "kept": (
        "{who}'s {thing} is in the {value}.",
        "{who} keeps {his} {thing} in the {value}.",
        "{who} left {his} {thing} in the {value}.",
        "In the {value} there is {a_thing} that belongs to {who}.",
        "{who} put {his} {thing} in the {value}.",
    ),
    "at": (
        "{who} is in the {value}.",
        "{who} went into the {value} and is still there.",
        "{who} is sitting in the {value}.",
        "You can find {who} in the {value}.",
        "In the {value} {who} is waiting.",
    ),
    "job": (
        "{who} is {a_value}.",
        "{who} works as {a_value}.",
        "{who} earns {his} living as {a_value}.",
        "{who} became {a_value} long ago.",
        "The {value} is called {who}.",
    ),
    "eats": (
        "{who} likes to eat {value}.",
        "{who} eats {value} every day.",
        "{who}'s favourite food is {value}.",
        "Nothing tastes better to {who} than {value}.",
        "For supper {who} always wants {value}.",
    ),
    "drinks": (
        "{who} likes to drink {value}.",
        "{who} drinks {value} in the morning.",
        "{who}'s favourite drink is {value}.",
        "When {he} is thirsty, {who} asks for {value}.",
        "{who} always has a glass of {value} with {his} meal.",
    ),
    "hobby": (
        "{who} loves {value}.",
        "{who}'s hobby is {value}.",
        "{who} spends {his} free time on {value}.",
        "What {who} enjoys most is {value}.",
        "On free days {who} enjoys {value}.",
    ),
    "feels": (
        "{who} is {value}.",
        "{who} feels {value} today.",
        "Today {who} is very {value}.",
        "{who} looks {value}.",
        "You can see that {who} is {value}.",
    ),
    "made": (
        "{who}'s {thing} is made of {stuff}.",
        "{who} has {a_value_thing}.",
        "{who} uses {a_thing} made of {stuff}.",
        "The {thing} that {who} has is made of {stuff}.",
    ),
    "went": (
        "{who} went to the {value} on {day}.",
        "On {day} {who} went to the {value}.",
        "On {day} {who} walked to the {value}.",
        "{who} visited the {value} on {day}.",
        "{who} spent {day} at the {value}.",
    ),
    "lives": (
        "{who} lives in {value}.",
        "{who}'s home is in {value}.",
        "{who} has a house in {value}.",
        "{who} moved to {value} and lives there now.",
        "In {value} there lives somebody called {who}.",
    ),
    "count": (
        "{who} has {n} {things}.",
        "{who} owns {n} {things}.",
        "There are {n} {things} that belong to {who}.",
        "{who} counts {his} {things}: there are {n}.",
        "{n} {things} belong to {who}.",
    ),
    "gave": (
        "{who} gave {other} {a_thing}.",
        "{who} gave {a_thing} to {other}.",
        "{other} got {a_thing} from {who}.",
        "{who} handed {a_thing} to {other}.",
        "From {who}, {other} received {a_thing}.",
    ),
    "bought": (
        "{who} bought {a_thing} on {day}.",
        "On {day} {who} bought {a_thing}.",
        "{who} went shopping on {day} and came back with {a_thing}.",
        "On {day} {who} paid for {a_thing} and took it home.",
    ),
    "pet": (
        "{who} has {a_thing} as a pet.",
        "{who} takes care of {a_thing}.",
        "{who}'s pet is {a_thing}.",
        "At {who}'s home there lives {a_thing}.",
    ),
}

# The same facts taken up again after their person was named: with a pronoun.
AGAIN: dict[str, tuple[str, ...]] = {
    "has": ("{He} has {a_value_thing}.", "{He} also has {a_value_thing}.", "{His} {thing} is {value}."),
    "kept": ("{His} {thing} is in the {value}.", "{He} keeps {his} {thing} in the {value}."),
    "at": ("{He} is in the {value} now.", "Right now {he} is in the {value}."),
    "job": ("{He} is {a_value}.", "{He} works as {a_value}."),
    "eats": ("{His} favourite food is {value}.", "{He} likes to eat {value}."),
    "drinks": ("{His} favourite drink is {value}.", "{He} likes to drink {value}."),
    "hobby": ("{He} loves {value}.", "{His} hobby is {value}."),
    "feels": ("Today {he} is {value}.", "{He} feels {value}."),
    "made": ("{His} {thing} is made of {stuff}.", "{He} has {a_thing} made of {stuff}."),
    "went": ("On {day} {he} went to the {value}.", "{He} went to the {value} on {day}."),
    "lives": ("{He} lives in {value}.", "{His} home is in {value}."),
    "count": ("{He} has {n} {things}.", "{He} also has {n} {things}."),
    "gave": ("{He} gave {other} {a_thing}.", "{He} gave {a_thing} to {other}."),
    "bought": ("On {day} {he} bought {a_thing}.", "{He} bought {a_thing} on {day}."),
    "pet": ("{He} takes care of {a_thing}.", "{His} pet is {a_thing}."),
}

# kind -> (question, answer as a sentence, bare answer). The first question asks for the value.
ASK: dict[str, tuple[tuple[tuple[str, ...], str, str], ...]] = {
    "has": (
        (
            ("What colour is {who}'s {thing}?", "Which colour does {who}'s {thing} have?"),
            "It is {value}.",
            "{value}",
        ),
        (
            ("Who has the {thing}?", "Whose is the {thing}?", "Who owns the {value} {thing}?"),
            "{who} has it.",
            "{who}",
        ),
    ),
    "kept": (
        (
            ("Where is {who}'s {thing}?", "In which room is {who}'s {thing}?"),
            "It is in the {value}.",
            "{value}",
        ),
        (("Whose {thing} is in the {value}?", "Who has a thing in the {value}?"), "It is {who}'s.", "{who}"),
    ),
    "at": (
        (("Where is {who}?", "Where can I find {who}?"), "{He} is in the {value}.", "{value}"),
        (("Who is in the {value}?", "Whom can I find in the {value}?"), "{who} is there.", "{who}"),
    ),
    "job": (
        (("What is {who}'s job?", "What does {who} do for a living?"), "{He} is {a_value}.", "{value}"),
        (("Who is the {value}?", "Who works as {a_value}?"), "{who} is.", "{who}"),
    ),
    "eats": (
        (
            ("What does {who} like to eat?", "What is {who}'s favourite food?"),
            "{He} likes {value}.",
            "{value}",
        ),
        (("Who likes {value}?", "Who likes to eat {value}?"), "{who} does.", "{who}"),
    ),
    "drinks": (
        (
            ("What does {who} like to drink?", "What is {who}'s favourite drink?"),
            "{He} likes {value}.",
            "{value}",
        ),
        (("Who likes to drink {value}?", "Who drinks {value}?"), "{who} does.", "{who}"),
    ),
    "hobby": (
        (("What is {who}'s hobby?", "What does {who} love to do?"), "{He} loves {value}.", "{value}"),
        (("Who loves {value}?", "Whose hobby is {value}?"), "{who} does.", "{who}"),
    ),
    "feels": (
        (("How does {who} feel?", "How is {who} today?"), "{He} is {value}.", "{value}"),
        (("Who is {value}?", "Who feels {value}?"), "{who} is.", "{who}"),
    ),
    "made": (
        (
            ("What is {who}'s {thing} made of?", "Of what is {who}'s {thing} made?"),
            "It is made of {stuff}.",
            "{stuff}",
        ),
        (
            ("Who has the {thing} made of {stuff}?", "Whose {thing} is made of {stuff}?"),
            "It is {who}'s.",
            "{who}",
        ),
    ),
    "went": (
        (
            ("Where did {who} go on {day}?", "Where was {who} on {day}?"),
            "{He} went to the {value}.",
            "{value}",
        ),
        (
            ("When did {who} go to the {value}?", "On which day was {who} at the {value}?"),
            "On {day}.",
            "{day}",
        ),
        (("Who went to the {value}?", "Who was at the {value}?"), "{who} did.", "{who}"),
    ),
    "lives": (
        (("Where does {who} live?", "Where is {who}'s home?"), "{He} lives in {value}.", "{value}"),
        (("Who lives in {value}?", "Whose home is in {value}?"), "{who} does.", "{who}"),
    ),
    "count": (
        (("How many {things} does {who} have?", "How many {things} has {who} got?"), "{He} has {n}.", "{n}"),
        (("Who has the {things}?", "Who owns {n} {things}?"), "{who} has them.", "{who}"),
    ),
    "gave": (
        (
            ("What did {who} give to {other}?", "What did {other} get from {who}?"),
            "It was {a_thing}.",
            "{thing}",
        ),
        (
            ("Who gave {other} the {thing}?", "From whom did {other} get the {thing}?"),
            "It was {who}.",
            "{who}",
        ),
        (("Who got the {thing}?", "To whom did {who} give the {thing}?"), "It was {other}.", "{other}"),
    ),
    "bought": (
        (("What did {who} buy on {day}?", "What did {who} buy?"), "{He} bought {a_thing}.", "{thing}"),
        (
            ("When did {who} buy the {thing}?", "On which day did {who} buy the {thing}?"),
            "On {day}.",
            "{day}",
        ),
        (("Who bought the {thing}?", "Who bought {a_thing}?"), "{who} did.", "{who}"),
    ),
    "pet": (
        (("What pet does {who} have?", "Which animal does {who} have?"), "{He} has {a_thing}.", "{thing}"),
        (("Who has the {thing}?", "Whose pet is the {thing}?"), "{who} has it.", "{who}"),
    ),
}
UNKNOWN = ("The text does not say.", "unknown")
