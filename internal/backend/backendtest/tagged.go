package backendtest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// breakouts are tags that are on no run, and would find some if they said more in a filter than themselves.
var breakouts = []string{
	"x' OR '1'='1", "x' OR 'y' != '", `x"]}},{"tags":{"$exists":true}`, "x` LIKE '%", "x`", "x'", `x"`, `x\`, "k=' OR 'y' != '", "k=%", "k=v%", "k=_", "%", "_", "*", ".*", "$ne",
	"", "=v", "\xff", "mlflow.runName", "mlflow.runName=r",
}

func testAnyTag(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 3})
	dialect, odd := f.client.Dialect(), f.traits.Odd
	names, news := make([]string, len(odd)), make([]NewRun, len(odd))
	for i, tag := range odd {
		names[i], news[i] = dialect.FormatRaw(tag.Key, tag.Value), NewRun{Name: "r", Tags: tags.Set{tag.Key: tag.Value}}
	}
	made := f.project.Create(t, news...)
	states := f.project.Create(t, NewRun{Name: "r", State: backend.StateRunning, Tags: f.bare("x", "y")},
		NewRun{Name: "r", Tags: f.bare("x")}, NewRun{Name: "r", State: backend.StateFailed, Tags: f.bare("y")}, NewRun{Name: "r"})

	for i, name := range names {
		f.wantIDs(f.list(backend.Query{AnyTag: []string{name}}), made[i:i+1], "exactly the run with the tag "+name)
	}
	cases := []struct {
		name   string
		tags   []string
		want   []string
		reason string
	}{
		{"states", []string{"x"}, states[:2], "runs come whatever their state"},
		{"two", []string{"x", "y"}, states[:3], "a run with both comes once"},
		{"twice", []string{"y", "x", "y"}, states[:3], "so does one with a tag that is asked for twice"},
		{"all", names, made, "as many tags as one likes give each run once"},
		{"nobody", []string{"nobody"}, nil, "a tag that no run has gives none"},
		{"breakouts", breakouts, nil, "a tag says nothing but itself"},
		{"breakout beside another", append([]string{"x"}, breakouts...), states[:2], "and hides no other"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			f.wantIDs(f.list(backend.Query{AnyTag: c.tags}), c.want, c.reason)
		})
	}
	if dialect.Pairs {
		t.Run("values", func(t *testing.T) { f.in(t).wantAnyValue() })
	}
}

// wantAnyValue checks what a bare tag and a pair ask for where tags are keys with values.
func (f *fixture) wantAnyValue() {
	f.t.Helper()
	values := []string{"True", "", "5", "it's", "5 ", "false", "False", "5%"}
	news := make([]NewRun, len(values))
	for i, value := range values {
		news[i] = NewRun{Name: "r", Tags: tags.Set{"key": value}}
	}
	made := f.project.Create(f.t, news...)
	bare := slices.Concat(made[:5], made[7:])
	for _, c := range []struct {
		tag, reason string
		want        []string
	}{
		{"key", "the key alone is carried with any value but false", bare},
		{"key=true", "a value that stands for the bare tag is the bare tag", bare},
		{"key=5", "a pair is carried with exactly its value", made[2:3]},
		{"key=5%", "which is no pattern", made[7:]},
		{"key=it's", "quotes are compared on our side", made[3:4]},
		{"key=false", "false can be asked for", made[5:6]},
		{"KEY", "the key is exact too", nil},
	} {
		f.wantIDs(f.list(backend.Query{AnyTag: []string{c.tag}}), c.want, c.tag+": "+c.reason)
	}
}

func testWithoutTags(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 2})
	dialect := f.client.Dialect()
	made := f.project.Create(t, NewRun{Name: "a", Tags: f.bare("x")}, NewRun{Name: "b", Tags: f.bare("x", "not")},
		NewRun{Name: "c", Tags: f.bare("y", "nor")}, NewRun{Name: "d", Tags: f.bare("y")}, NewRun{Name: "e"})
	for _, c := range []struct {
		name   string
		query  backend.Query
		want   []string
		reason string
	}{
		{"all", backend.Query{All: true, WithoutTags: []string{"not"}}, []string{made[0], made[2], made[3], made[4]}, "a run with the tag is left out, one without any is not"},
		{"two", backend.Query{All: true, WithoutTags: []string{"not", "nor"}}, []string{made[0], made[3], made[4]}, "one of them is enough"},
		{"any", backend.Query{AnyTag: []string{"x", "y"}, WithoutTags: []string{"not", "nor"}}, []string{made[0], made[3]}, "to be left out is stronger"},
		{"itself", backend.Query{AnyTag: []string{"x"}, WithoutTags: []string{"x"}}, nil, "even against the same tag"},
		{"breakouts", backend.Query{All: true, WithoutTags: breakouts}, made, "a tag says nothing but itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			f.wantIDs(f.list(c.query), c.want, c.reason)
		})
	}
	for _, tag := range f.traits.Odd {
		id := f.project.Create(t, NewRun{Name: "odd", Tags: tags.Set{tag.Key: tag.Value, "z": "true"}})[0]
		name := dialect.FormatRaw(tag.Key, tag.Value)
		f.wantIDs(f.list(backend.Query{AnyTag: []string{"z"}, WithoutTags: []string{name}}), nil, "left out for its tag "+name)
		f.project.Delete(t, id)
	}
}

func testNewest(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 2})
	carried := []tags.Set{f.bare("x"), f.bare("y", "x"), f.bare("y"), nil, f.bare("x", "y"), f.bare("y"), f.bare("x"), f.bare("x", "not"), f.bare("z", "x")}
	news := make([]NewRun, len(carried))
	for i, set := range carried {
		news[i] = NewRun{Name: "r", Tags: set, Age: time.Duration(i*7%len(carried)) * time.Hour}
	}
	made := f.project.Create(t, news...)
	// From the newest on, these are the runs by their numbers: each was made an hour before the one to its left.
	order := make([]int, len(made))
	for i := range made {
		order[i*7%len(made)] = i
	}
	for _, c := range []struct {
		name  string
		query backend.Query
		want  func(tags.Set) bool
	}{
		{"all", backend.Query{All: true}, func(tags.Set) bool { return true }},
		{"all but some", backend.Query{All: true, WithoutTags: []string{"not"}}, func(s tags.Set) bool { return !has(s, "not") }},
		{"one tag", backend.Query{AnyTag: []string{"x"}}, func(s tags.Set) bool { return has(s, "x") }},
		{"three tags", backend.Query{AnyTag: []string{"x", "z", "y"}, WithoutTags: []string{"not"}}, func(s tags.Set) bool { return len(s) > 0 && !has(s, "not") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			var want []string
			for _, i := range order {
				if c.want(carried[i]) {
					want = append(want, made[i])
				}
			}
			c.query.Newest = true
			if diff := cmp.Diff(want, ids(f.list(c.query))); diff != "" {
				t.Errorf("the newest come first, on one page and from page to page (-want +got):\n%s", diff)
			}
			slices.Reverse(want)
			c.query.Newest = false
			if diff := cmp.Diff(want, ids(f.list(c.query))); diff != "" {
				t.Errorf("the oldest come first where nothing is said (-want +got):\n%s", diff)
			}
		})
	}
}

func has(set tags.Set, key string) bool {
	_, there := set[key]
	return there
}
