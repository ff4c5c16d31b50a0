# `make up` and `make test` on a fresh clone are the only set-up there is.
.DEFAULT_GOAL := help
.PHONY: help up test check bench prove clean
BIN := .venv/bin

help:            ## this list
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  +##' Makefile | sed 's/:.*##/\t/' | expand -t 12

up:              ## set everything up, raise the embedded family, open it
	@scripts/setup run
	@command -v bottega >/dev/null || echo "To have the command bottega in this shell: source $(BIN)/activate"
	@$(BIN)/bottega up

test:            ## set everything up, run the tests
	@scripts/setup dev
	@$(BIN)/python -m pytest -m "not prove"

check:           ## lint, types, import contracts
	@scripts/setup dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench:           ## ours beside the peers', medians of repeats
	@scripts/setup bench
	@$(BIN)/python -m benchmarks

prove: DATA = school:prose-en
prove:           ## the longer proofs; DATA=SOURCE for the text to train on
	@scripts/setup dev
	@$(BIN)/python -m pytest -m prove
	@$(BIN)/python -m benchmarks.prove_bits --data '$(DATA)'

clean:           ## remove the virtual environment
	rm -rf .venv
