# The sandbox: a real cluster on this machine.  SANDBOX=name for one beside the default, NODES=5 for another size.
SANDBOX ?=
NODES ?=
FOCUS ?= \[sig-network\].*Networking.*Granular.*Pods|\[sig-node\] Pods
# Not here: limits on local storage are off, as all nodes share one disk; and this kernel may lack SCTP.
SKIP ?= \[Slow\]|\[Serial\]|\[Disruptive\]|\[Flaky\]|\[Feature:|evicted pods should be terminal
# The words that go to helm, such as HELM="--set image.repository=registry.example/fairlead --set image.tag=v1"
HELM ?=
SANDBOX_COMMAND = $(PYTHON) -m sandbox --name "$(SANDBOX)"

.PHONY: up down status e2e install image-context host-tools
# A fresh Debian has neither `venv` nor a compiler; elsewhere this is one quick look.
$(VENV)/stamp cni: | host-tools
host-tools:
	@{ $(PYTHON) -c 'import ensurepip' && command -v gcc; } >/dev/null 2>&1 || $(PYTHON) -m sandbox.packages requirements/apt-check.txt

up: ## start the sandbox cluster with Fairlead on it (NODES=5, SANDBOX=other)
	@$(SANDBOX_COMMAND) up $(if $(NODES),--nodes $(NODES))

down: ## remove the sandbox without a trace
	@$(SANDBOX_COMMAND) down

status: ## what of the sandbox runs
	@$(SANDBOX_COMMAND) status

e2e: ## run Kubernetes' own end-to-end tests on the sandbox (FOCUS='regex' SKIP='regex')
	@$(SANDBOX_COMMAND) e2e --focus '$(FOCUS)' --skip '$(SKIP)'

install: ## install the chart on another cluster (KUBECONFIG=file HELM='--set ...')
	@$(PYTHON) -m sandbox install --kubeconfig "$(KUBECONFIG)" -- $(HELM)

image-context: ## fill build/image, from which image/Containerfile builds
	@$(PYTHON) -m sandbox image
