# tepui: the commands of everyday work. `make help` lists them.

CARGO ?= cargo
# Cases of the fuzzing property tests in `make fuzz`: about a minute on two cores.
FUZZ_CASES ?= 60000
# With FUZZ_SECONDS=n the fuzzing and property tests are run again and again for so long, with new seeds.
FUZZ_SECONDS ?=
FUZZ_SEED ?= $(if $(FUZZ_SECONDS),$(shell date +%s),20261127)
SOAK_SECONDS ?= 600

.PHONY: help tools build test vm loom shuttle fuzz soak ui gpu-check lint docs figures clean

help:
	@sed -n 's/^## //p' Makefile

## make build     the release binary, target/release/tepui
build:
	$(CARGO) build --release --locked

## make tools     installs what the tests need (as root), or says what is missing
tools:
	@packaging/tools.sh

## make test      installs what the tests need and runs all of them
test: tools
	$(CARGO) test --workspace --locked
	$(MAKE) vm loom shuttle fuzz

## make vm        the attacks on isolation with cgroup v2, in a virtual machine (as root; half a minute)
vm:
	packaging/vm.sh

## make loom      the lock-free files under all schedules of small cases
loom:
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --target-dir target/loom -p tepui-runtime-models -p tepui-allocator-models

## make shuttle   the worker loop and the allocator's shards under random schedules (TEPUI_SCHEDULES=n)
shuttle:
	RUSTFLAGS="--cfg shuttle" $(CARGO) test --locked --target-dir target/shuttle -p tepui-runtime-models -p tepui-allocator-models

## make fuzz      the fuzzing tests at length (FUZZ_CASES=n, or FUZZ_SECONDS=n)
fuzz:
	end=$$(( $$(date +%s) + $(or $(FUZZ_SECONDS),0) )); seed=$(FUZZ_SEED); while :; do \
	  export PROPTEST_RNG_SEED=$$seed; \
	  TEPUI_FUZZ_CASES=$(FUZZ_CASES) $(CARGO) test --workspace --locked fuzz \
	    || { echo "again with: make fuzz FUZZ_SEED=$$seed"; exit 1; }; \
	  [ $$(date +%s) -lt $$end ] || exit 0; \
	  $(CARGO) test --workspace --locked --test engine --test incremental --test semantics --test share_tree --test sim || { echo "seed: PROPTEST_RNG_SEED=$$seed"; exit 1; }; \
	  seed=$$((seed + 1)); done

## make soak      two nodes whose links are cut and healed for ten minutes (SOAK_SECONDS=n)
soak:
	TEPUI_SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --locked -p tepui-runtime --test soak -- --nocapture

## make ui        the errors of the macros, as the compiler shows them
ui:
	$(CARGO) test --locked -p tepui-runtime --test ui -- --ignored

## make gpu-check on a machine with an NVIDIA GPU: what is told of it, and what tasks can do with it
gpu-check:
	packaging/gpu-check.sh

## make lint      formatting and clippy, warnings denied
lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path benches/peers/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## make docs      the API documentation, warnings denied
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

## make figures   the benchmarks; SUBJECT=actors for one of them; writes docs/figures.md
figures:
	packaging/figures.sh $(SUBJECT)

clean:
	$(CARGO) clean
