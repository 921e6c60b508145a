package backend_test

import (
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func TestCarries(t *testing.T) {
	plain, pairs := tags.Dialect{}, tags.Dialect{Pairs: true, MaxValue: 5}
	on := tags.Set{"a": "", "k=v": "", "pair": "v", "yes": "TRUE", "no": "False", "n": "5", "long": "longe"}
	cases := []struct {
		reason  string
		dialect tags.Dialect
		names   string // apart by |
		want    bool
	}{
		{"the tag is there", plain, "a", true},
		{"it is exact", plain, "A", false},
		{"an equals sign is nothing special", plain, "k=v", true},
		{"so there is no key before it", plain, "k", false},
		{"one of several is enough", plain, "x|a", true},
		{"none of several", plain, "x|y", false},
		{"nothing is carried by none", plain, "", false},
		{"a pair with its value", pairs, "pair=v", true},
		{"another value is another tag", pairs, "pair=V", false},
		{"a bare tag asks for the key alone", pairs, "pair", true},
		{"whatever its value", pairs, "n", true},
		{"unless it says no", pairs, "no", false},
		{"no is no in any case, and can be asked for", pairs, "no=False", true},
		{"a value that stands for the bare tag is the bare tag", pairs, "yes=true", true},
		{"so it is with another value on the run", pairs, "n=true", true},
		{"an empty value is one that stands for it", pairs, "a", true},
		{"a value is cut as the tracker cuts it", pairs, "long=longer", true},
		{"a value without a key is no tag", pairs, "=v", false},
		{"nor is nothing", pairs, "", false},
		{"nor is what is no text", pairs, "\xff", false},
	}
	for _, c := range cases {
		if got := backend.Carries(c.dialect, on, strings.Split(c.names, "|")...); got != c.want {
			t.Errorf("%q is carried: %v, want %v: %s", c.names, got, c.want, c.reason)
		}
	}
	if backend.Carries(plain, on) {
		t.Error("none of no tags is carried")
	}
}

func TestWantsTags(t *testing.T) {
	cases := []struct {
		reason string
		query  backend.Query
		want   bool
	}{
		{"all are wanted", backend.Query{All: true}, true},
		{"all but those with a tag", backend.Query{All: true, WithoutTags: []string{"x", "a"}}, false},
		{"one of the tags is there", backend.Query{AnyTag: []string{"x", "a"}}, true},
		{"none is there", backend.Query{AnyTag: []string{"x"}}, false},
		{"to be left out is stronger", backend.Query{AnyTag: []string{"a"}, WithoutTags: []string{"b"}}, false},
		{"what is not there leaves nothing out", backend.Query{AnyTag: []string{"a"}, WithoutTags: []string{"c"}}, true},
	}
	for _, c := range cases {
		if got := c.query.WantsTags(tags.Dialect{}, tags.Set{"a": "", "b": ""}); got != c.want {
			t.Errorf("wanted: %v, want %v: %s", got, c.want, c.reason)
		}
	}
}
