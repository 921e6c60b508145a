package mirror

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/runtag/runtag/internal/tags"
)

var (
	plain = tags.Dialect{Tracker: "W&B", MaxKey: 64}
	pairs = tags.Dialect{Tracker: "MLflow", Pairs: true, MaxKey: 250, MaxValue: 8000, Hidden: func(key string) bool { return strings.HasPrefix(key, "mlflow.") }}
)

func TestKey(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, c := range []struct {
		name, reason string
		dialect      tags.Dialect
		tag          tags.Tag
		want         string
	}{
		{"plain", "the tag is the name of its label", plain, tags.Tag{Key: "Base_line-1.0"}, "tag.runtag.dev/Base_line-1.0"},
		{"one character", "a name may be that short", plain, tags.Tag{Key: "x"}, "tag.runtag.dev/x"},
		{"63 characters", "the longest name after a prefix", plain, tags.Tag{Key: long}, "tag.runtag.dev/" + long},
		{"64 characters", "no label name is longer than 63", plain, tags.Tag{Key: long + "x"}, ""},
		{"empty", "a label has a name", plain, tags.Tag{}, ""},
		{"blank", "no label name has one", plain, tags.Tag{Key: "a b"}, ""},
		{"slash", "a label has one slash, after the prefix", plain, tags.Tag{Key: "a/b"}, ""},
		{"equals sign", "on a tracker without values it belongs to the tag", plain, tags.Tag{Key: "a=b"}, ""},
		{"begins with underscore", "names begin with a letter or digit", plain, tags.Tag{Key: "_x"}, ""},
		{"ends with dot", "names end with a letter or digit", plain, tags.Tag{Key: "v1."}, ""},
		{"another script", "letters are those of ASCII", plain, tags.Tag{Key: "日本語"}, ""},
		{"line break", "nothing follows the name", plain, tags.Tag{Key: "a\n"}, ""},
		{"bare on MLflow", "as anywhere", pairs, tags.Tag{Key: "k"}, "tag.runtag.dev/k"},
		{"pair", "the value is the label's", pairs, tags.Tag{Key: "k", Value: "V.1"}, "pair.runtag.dev/k"},
		{"pair with 63 characters", "the longest value", pairs, tags.Tag{Key: "k", Value: long}, "pair.runtag.dev/k"},
		{"pair with 64 characters", "no value is longer than 63", pairs, tags.Tag{Key: "k", Value: long + "x"}, ""},
		{"pair with a blank", "no value has one", pairs, tags.Tag{Key: "k", Value: "a b"}, ""},
		{"pair with a bad key", "both must be valid", pairs, tags.Tag{Key: "_k", Value: "v"}, ""},
		{"value where there are none", "no such tag can be on the run", plain, tags.Tag{Key: "k", Value: "v"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := Key(c.dialect, c.tag); got != c.want || ok != (c.want != "") {
				t.Errorf("%s: Key(%+v) = %q, %v, want %q", c.reason, c.tag, got, ok, c.want)
			}
		})
	}
}

func TestNameOf(t *testing.T) {
	for _, c := range []struct {
		key, text, reason, want string
	}{
		{"tag.runtag.dev/x", "", "a person's", "x"},
		{"tag.runtag.dev/x", "true", "a person's too", "x"},
		{"tag.runtag.dev/x", "rule", "ours", "x"},
		{"tag.runtag.dev/x", "yes", "declares nothing", ""},
		{"pair.runtag.dev/k", "v", "a tag with a value", "k=v"},
		{"pair.runtag.dev/k", "", "the bare tag has a label of its own", ""},
		{"pair.runtag.dev/k", "True", "which is what true means in any case", ""},
		{"tracking.runtag.dev/state", "running", "stands for no tag", ""},
		{"app", "", "nor does anybody else's", ""},
	} {
		name, ok := NameOf(c.key, c.text)
		if ok != (c.want != "") || ok && name != c.want {
			t.Errorf("%s: NameOf(%q, %q) = %q, %v, want %q", c.reason, c.key, c.text, name, ok, c.want)
		}
	}
}

// FuzzCodec: a label that stands for a tag is one that Kubernetes takes, and gives the tag back.
func FuzzCodec(f *testing.F) {
	for _, seed := range []string{"baseline", "k=v", "k=true", "k=", "_x", "v1.", "日本語", "a b", "a=b=c", strings.Repeat("x", 64)} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, name string, withPairs bool) {
		d := plain
		if withPairs {
			d = pairs
		}
		key, tag, ok := keyOf(d, name)
		if !ok {
			return
		}
		text := value(tag, tags.Run)
		if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(text)...); len(problems) > 0 {
			t.Fatalf("%q is mirrored as %s=%s: %v", name, key, text, problems)
		}
		if back, ok := NameOf(key, text); !ok || back != d.Format(tag) {
			t.Fatalf("%q is mirrored as %s=%s, which stands for %q, %v", name, key, text, back, ok)
		}
		if !IsMirror(key) || !IsShown(d, name, map[string]string{key: text}) || IsShown(d, name, nil) {
			t.Fatalf("%s=%s does not show %q", key, text, name)
		}
	})
}
