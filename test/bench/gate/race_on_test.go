//go:build race

package gate_test

// raced: the race detector changes what is allocated.
const raced = true
