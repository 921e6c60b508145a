package importing

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

const (
	// maxName is the longest object name that is also valid as the value of a label.
	maxName = 63
	// hashLength is the length of the hash in a name, in hexadecimal digits: 40 bits, for runs whose names are otherwise
	// the same.
	hashLength = 10
)

var (
	// validName is a DNS subdomain, as object names are (k8s.io/apimachinery/pkg/util/validation, IsDNS1123Subdomain).
	validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	// hashed is what the end of a name with a hash looks like.
	hashed = regexp.MustCompile(`-[0-9a-f]{10}$`)
	unfit  = regexp.MustCompile(`[^a-z0-9]+`)
)

// Name is what the TrainingRun of a run is called: <project>-<run id> where that is a valid name that no other run of
// the project can have, else HashedName. An id with capitals gets a hash, since trackers tell "A" from "a"; so does one
// that makes the name end as one with a hash does. Where another project's run has the name, as run b-c of project a and
// run c of project a-b do, HashedName is the one to take.
func Name(project, runID string) string {
	if plain := project + "-" + runID; runID != "" && len(plain) <= maxName && validName.MatchString(plain) && !hashed.MatchString(plain) {
		return plain
	}
	return HashedName(project, runID)
}

// HashedName is the name of the TrainingRun of a run whose plain name is no valid one, or is taken: made valid, cut,
// and with a short hash of project and id.
func HashedName(project, runID string) string {
	sum := sha256.Sum256([]byte(project + "\x00" + runID))
	hash := hex.EncodeToString(sum[:])[:hashLength]
	readable := strings.Trim(unfit.ReplaceAllString(strings.ToLower(project+"-"+runID), "-"), "-")
	readable = strings.TrimRight(readable[:min(len(readable), maxName-1-hashLength)], "-")
	if readable == "" {
		readable = "run"
	}
	return readable + "-" + hash
}
