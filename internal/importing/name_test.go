package importing

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestName(t *testing.T) {
	const hex = "0123456789abcdef0123456789abcdef"
	long := strings.Repeat("x", 70)
	for _, c := range []struct {
		name, reason, project, runID, want string
	}{
		{"W&B", "eight letters and digits", "capsules", "3f9a1c0b", "capsules-3f9a1c0b"},
		{"MLflow", "32 hexadecimal digits", "forecast", hex, "forecast-" + hex},
		{"chosen", "ids that people choose may have dashes and dots", "capsules", "nightly-7.v1", "capsules-nightly-7.v1"},
		{"63 characters", "as long as the value of a label", "p", long[:61], "p-" + long[:61]},
		{"64 characters", "cut, with a hash", "p", long[:62], "p-" + long[:50] + "-"},
		{"cut at a dash", "one dash is enough", "p", long[:49] + "-" + long, "p-" + long[:49] + "-"},
		{"capitals", "trackers tell A from a, and objects do not", "p", "Run1", "p-run1-"},
		{"underscore", "no object has one", "p", "a__b", "p-a-b-"},
		{"at the end", "a name ends with a letter or digit", "p", "a-", "p-a-"},
		{"dots in a row", "nothing is between them", "p", "a..b", "p-a-b-"},
		{"dot and dash", "each part begins with a letter or digit", "p", "a.-b", "p-a-b-"},
		{"dot first", "each part ends with one, too", "p", ".b", "p-b-"},
		{"another script", "what has no letter of ours has the hash alone", "p", "日本語", "p-"},
		{"line break", "nothing follows a name", "p", "a\n", "p-a-"},
		{"looks hashed", "or it might be the name of another run", "p", "a-0123456789", "p-a-0123456789-"},
		{"is a hash", "the same", "p", "0123456789", "p-0123456789-"},
		{"no id", "no run has one, but a name is a name", "p", "", "p-"},
		{"nothing at all", "the same", "", "", "run-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Name(c.project, c.runID)
			if strings.HasSuffix(c.want, "-") {
				if !hashed.MatchString(got) || got[:len(got)-hashLength] != c.want {
					t.Errorf("%s: %q, want %s and a hash", c.reason, got, c.want)
				}
			} else if got != c.want {
				t.Errorf("%s: %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

// TestNameStands: names are written down in clusters, so how they are made can't change.
func TestNameStands(t *testing.T) {
	for id, want := range map[string]string{"Run_1": "capsules-run-1-bf031fc0f4", strings.Repeat("y", 128): "capsules-" + strings.Repeat("y", 43) + "-9d0cf7c41b"} {
		if got := Name("capsules", id); got != want {
			t.Errorf("run %q is called %q, and was called %q", id, got, want)
		}
	}
}

// TestTakenName: runs of two projects may have one plain name; the other name tells them apart.
func TestTakenName(t *testing.T) {
	if Name("a", "b-c") != Name("a-b", "c") {
		t.Fatal("this is about names that are the same")
	}
	if HashedName("a", "b-c") == HashedName("a-b", "c") {
		t.Error("two runs have no name that is theirs alone")
	}
}

// TestNames: every name is valid, as an object's and as the value of a label, and no two runs of a project share one.
func TestNames(t *testing.T) {
	project := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,70}[a-z0-9])?(\.[a-z0-9]{1,5})?`)
	// Ids that resemble each other, and names that are made of other runs' names.
	id := rapid.OneOf(rapid.StringMatching(`[aA_.-]{1,4}`), rapid.StringN(1, 128, 128), rapid.StringMatching(`[a-b]{48,64}`), rapid.StringMatching(`[aA]-[0-9a-f]{10}`))
	rapid.Check(t, func(t *rapid.T) {
		p := project.Draw(t, "project")
		one, other := id.Draw(t, "one"), id.Draw(t, "other")
		if rapid.Bool().Draw(t, "made of the other's") {
			other = strings.TrimPrefix(HashedName(p, one), p+"-")
		}
		for _, name := range []string{Name(p, one), HashedName(p, one)} {
			if problems := append(validation.IsDNS1123Subdomain(name), validation.IsValidLabelValue(name)...); len(problems) > 0 {
				t.Fatalf("run %q is called %q: %v", one, name, problems)
			}
			if one != other && (name == Name(p, other) || name == HashedName(p, other)) {
				t.Fatalf("runs %q and %q are both called %q", one, other, name)
			}
		}
	})
}
