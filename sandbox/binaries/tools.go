//go:build tools

// Package binaries keeps the upstream end-to-end suite in go.mod: it is a test package, so no `tool` line can name it.
package binaries

import _ "k8s.io/kubernetes/test/e2e"
