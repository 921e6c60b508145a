package facts

import (
	"math/rand/v2"
	"os"
	"strconv"
)

// SeedVariable repeats a test that depends on chance.
const SeedVariable = "RUNTAG_FAULTS_SEED"

// Seed is what SeedVariable says, or else chance where all is to be done. The short form always does the same: a change
// must not fail for what another one left.
func Seed(t TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s is %q, want a number: %v", SeedVariable, text, err)
		}
	} else if Full() {
		seed = rand.Uint64N(1_000_000) //nolint:gosec // chance, and no secret
	}
	t.Logf("%s=%d repeats this", SeedVariable, seed)
	return seed
}
