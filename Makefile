# The two first commands are `make demo` and `make test`. Everything else is `cargo xtask` (crates/xtask).
.PHONY: demo demo-kafka test bench accuracy fuzz setup build clean

demo: ## replay a small capture and print the API inventory found in it
	@deploy/setup.sh demo
	cargo build --release --locked --bin umbra
	target/release/umbra replay testdata/demo/capture.pcap

demo-kafka: ## start a real Kafka, make the topics, replay a capture into it and show what a consumer reads
	@deploy/setup.sh test
	cargo build --release --locked --bin umbra
	deploy/kafka/demo.sh

test: ## everything CI runs
	@deploy/setup.sh test
	cargo xtask ci

bench: ## whole-sensor benchmark against a libpcap loop and tshark
	@deploy/setup.sh test
	cargo xtask bench

accuracy: ## endpoints and findings on generated traffic of many APIs, scored
	@deploy/setup.sh test
	cargo xtask accuracy $(ARGS)

fuzz: ## ten minutes for each fuzz target
	@deploy/setup.sh demo
	cargo xtask fuzz --seconds 600

setup: ## install what the targets above need
	@deploy/setup.sh test

build:
	@deploy/setup.sh demo
	cargo build --release --locked --bin umbra

clean:
	cargo clean
	rm -rf fuzz/target
