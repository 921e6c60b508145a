package mirror

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestLists tries what annotations declare and what becomes of them.
func TestLists(t *testing.T) {
	for _, c := range []struct {
		name, reason      string
		tags, add, remove string
		open              []string
		declared          []string
		unread            []string
		settled           map[string]any
	}{
		{name: "none", reason: "no annotations, no tags"},
		{name: "tags", reason: "what no label can say", tags: `["a b", "x/y"]`, declared: []string{"a b", "x/y"}},
		{name: "none in a list", reason: "an empty list declares nothing, and stays as it is", tags: `[]`},
		{name: "twice", reason: "a tag is declared once; a person's text with it twice is put right", tags: `["a","b","a"]`, declared: []string{"a", "b"},
			settled: map[string]any{AnnotationTags: `["a","b"]`}},
		{name: "blanks around", reason: "JSON does not mind", tags: " [ \"a\" ]\n", declared: []string{"a"}},
		{name: "add", reason: "additions are declared at once, and move into the list", tags: `["a"]`, add: `["b","a"]`, declared: []string{"a", "b"},
			settled: map[string]any{AnnotationTags: `["a","b"]`, AnnotationAdd: nil}},
		{name: "add to none", reason: "the list is made", add: `["b"]`, declared: []string{"b"}, settled: map[string]any{AnnotationTags: `["b"]`, AnnotationAdd: nil}},
		{name: "add what is there", reason: "only the addition goes", tags: `["a"]`, add: `["a"]`, declared: []string{"a"}, settled: map[string]any{AnnotationAdd: nil}},
		{name: "remove", reason: "what is asked off is no longer declared", tags: `["a","b"]`, remove: `["a"]`, declared: []string{"b"},
			settled: map[string]any{AnnotationTags: `["b"]`, AnnotationRemove: nil}},
		{name: "remove the last", reason: "an empty list needs no annotation", tags: `["a"]`, remove: `["a","f"]`, settled: map[string]any{AnnotationTags: nil, AnnotationRemove: nil}},
		{name: "remove, still open", reason: "what is written down nowhere else is not cleared", remove: `["a","f"]`, open: []string{"f"},
			settled: map[string]any{AnnotationRemove: `["f"]`}},
		{name: "remove, all open", reason: "nothing to write", remove: `["a"]`, open: []string{"a"}},
		{name: "added and removed", reason: "off wins: nothing is put on that somebody wants off", add: `["a"]`, remove: `["a"]`, settled: map[string]any{AnnotationAdd: nil, AnnotationRemove: nil}},
		{name: "signs", reason: "people read it", add: `["a<b>&c"]`, declared: []string{"a<b>&c"}, settled: map[string]any{AnnotationTags: `["a<b>&c"]`, AnnotationAdd: nil}},
		{name: "no JSON", reason: "what it declares is unknown; nothing is moved", tags: `a, b`, add: `["c"]`, remove: `["d"]`, declared: []string{"c"}, unread: []string{AnnotationTags}},
		{name: "no list", reason: "one tag is no list", add: `"a"`, unread: []string{AnnotationAdd}},
		{name: "null", reason: "it may be meant for anything", tags: `null`, unread: []string{AnnotationTags}},
		{name: "null in a list", reason: "it is no tag", tags: `["a",null]`, unread: []string{AnnotationTags}},
		{name: "a number in a list", reason: "it is no tag", remove: `[1]`, unread: []string{AnnotationRemove}},
		{name: "more after the list", reason: "half of it is not all", tags: `["a"] ["b"]`, unread: []string{AnnotationTags}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := ReadLists(map[string]string{AnnotationTags: c.tags, AnnotationAdd: c.add, AnnotationRemove: c.remove, "other": "["})
			var unread []string
			for key, message := range l.Unread {
				unread = append(unread, key)
				if want := "annotation " + key + ` is not a JSON list of tags, such as ["a tag", "another/one"]: correct it`; message != want {
					t.Errorf("message %q, want %q", message, want)
				}
			}
			for _, diff := range []string{
				cmp.Diff(c.declared, l.Declared(), cmpopts.EquateEmpty()), cmp.Diff(c.unread, unread), cmp.Diff(c.settled, l.Settled(c.open...), cmpopts.EquateEmpty()),
			} {
				if diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, diff)
				}
			}
		})
	}
}

// TestSettling: moving additions and clearing removals changes neither what is declared nor what is still asked off.
func TestSettling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string) []string {
			return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c d", `"`, "é\n"}), 0, 4).Draw(t, label)
		}
		annotations := map[string]string{}
		for _, key := range []string{AnnotationTags, AnnotationAdd, AnnotationRemove} {
			if list := some(key); len(list) > 0 {
				annotations[key] = Text(list)
			}
		}
		before, open := ReadLists(annotations), some("open")
		if before.Unread != nil {
			t.Fatalf("our own text is not read: %v", before.Unread)
		}
		settle := func(l Lists) {
			for key, text := range l.Settled(open...) {
				if text == nil {
					delete(annotations, key)
				} else {
					annotations[key] = text.(string)
				}
			}
		}
		settle(before)
		after := ReadLists(annotations)
		same(t, before.Declared(), after.Declared(), "something else is declared")
		for _, name := range before.Remove {
			if slices.Contains(open, name) != slices.Contains(after.Remove, name) {
				t.Fatalf("%q is asked off before %v, and after %v, with %v open", name, before.Remove, after.Remove, open)
			}
		}
		same(t, map[string]any{}, after.Settled(open...), "it does not come to rest")
	})
}

// FuzzLists: no text makes reading fail, and what is read is as JSON has it.
func FuzzLists(f *testing.F) {
	for _, seed := range []string{"", `["a"]`, `[null]`, `null`, `{"a":1}`, `["a",["b"]]`, "[\"\xff\"]", `["\ud800"]`, `[" "]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := ReadLists(map[string]string{AnnotationTags: text})
		var plainly []any
		err := json.Unmarshal([]byte(text), &plainly)
		if read := len(l.Unread) == 0; read && err != nil && text != "" && l.Tags != nil {
			t.Fatalf("%q is no JSON list and read as %q", text, l.Tags)
		}
		if len(l.Unread) > 0 && l.Tags != nil {
			t.Fatalf("%q is not understood and read as %q", text, l.Tags)
		}
		for _, name := range l.Tags {
			if !utf8.ValidString(name) {
				t.Fatalf("%q gives the tag %q", text, name)
			}
		}
		if back := ReadLists(map[string]string{AnnotationTags: Text(l.Declared())}); !slices.Equal(back.Declared(), l.Declared()) {
			t.Fatalf("%q is written as %q and read back as %q", text, Text(l.Declared()), back.Declared())
		}
	})
}

func TestListsThatAreTooLong(t *testing.T) {
	list := func(from, to int) string {
		var names []string
		for n := from; n < to; n++ {
			names = append(names, fmt.Sprint(n))
		}
		return Text(names)
	}
	tests := map[string]struct {
		reason      string
		annotations map[string]string
		unread      []string
	}{
		"as many as may be":    {"they are read", map[string]string{AnnotationTags: list(0, 100), AnnotationAdd: list(72, 128)}, nil},
		"too many in one":      {"a list of any length would take any time", map[string]string{AnnotationTags: list(0, 40_000)}, []string{AnnotationTags}},
		"too many to take off": {"nor is that read", map[string]string{AnnotationRemove: list(0, 129)}, []string{AnnotationRemove}},
		"too many together":    {"what is added would make the list too long", map[string]string{AnnotationTags: list(0, 100), AnnotationAdd: list(100, 129)}, []string{AnnotationAdd}},
		"removals count":       {"what is taken off makes room", map[string]string{AnnotationTags: list(0, 128), AnnotationAdd: list(128, 129), AnnotationRemove: list(0, 1)}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			read := ReadLists(test.annotations)
			if got := slices.Collect(maps.Keys(read.Unread)); !slices.Equal(got, test.unread) {
				t.Errorf("%s: unread are %v, want %v", test.reason, read.Unread, test.unread)
			}
			if len(test.unread) > 0 && len(read.Settled()) > 0 {
				t.Errorf("%s: %v would change", test.reason, read.Settled())
			}
		})
	}
}
