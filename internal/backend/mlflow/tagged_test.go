package mlflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

func TestTagFilters(t *testing.T) {
	cases := []struct {
		reason string
		tags   []string
		want   []string
	}{
		{"a bare tag is its key with any value", []string{"baseline"}, []string{"tags.`baseline` LIKE '%%'"}},
		{"a pair is looked up", []string{"team=ml-1"}, []string{"tags.`team` = 'ml-1'"}},
		{"a value that stands for the bare tag is any value", []string{"baseline=True"}, []string{"tags.`baseline` LIKE '%%'"}},
		{"a key may have all that the server takes, of which nothing is a backtick", []string{"日本 a.b/c: d"}, []string{"tags.`日本 a.b/c: d` LIKE '%%'"}},
		{"a quote never gets into a filter, the longest rest picks more than is wanted", []string{"k=it's mine"}, []string{"tags.`k` LIKE '%s mine%'"}},
		{"where nothing of a value is harmless, the key is asked for", []string{"k=''"}, []string{"tags.`k` LIKE '%%'"}},
		{"blanks at the ends may get lost", []string{"k= v"}, []string{"tags.`k` LIKE '% v%'"}},
		{"each tag is a search", []string{"a", "b", "a"}, []string{"tags.`a` LIKE '%%'", "tags.`b` LIKE '%%'"}},
		{"a key that could break out is looked for on all runs, which finds the others too", []string{"a", "x` LIKE '%", "b"}, []string{""}},
		{"what is hidden or can't be a tag is not looked for", []string{"mlflow.user", "runtag.dev/pod=p", "", "=v", "\xff"}, nil},
	}
	for _, c := range cases {
		if diff := gocmp.Diff(c.want, tagFilters(c.tags)); diff != "" {
			t.Errorf("filters of %q (-want +got):\n%s%s", c.tags, diff, c.reason)
		}
	}
}

func TestTagFilterNeverBreaksOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(rapid.SampledFrom([]string{"'", "`", `"`, "=", "%", " ", ".", "\n", "a", "é", "--", ";", `\`}), rapid.String())
		name := strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pieces"), "")
		for _, filter := range tagFilters([]string{name}) {
			if filter == "" {
				continue
			}
			if strings.Count(filter, "'") != 2 || strings.Count(filter, "`") != 2 || strings.ContainsAny(filter, "\"\\\n;") {
				t.Fatalf("filter %q", filter)
			}
		}
	})
}

// searches is a tracker that answers searches in its order, from whatever start and in pages of whatever size.
type searches struct {
	t    testing.TB
	runs []wireRun
	log  []string
}

// matches reads the only filter that these tests need.
func (s *searches) matches(filter string, r wireRun) bool {
	key, _, _ := strings.Cut(strings.TrimPrefix(filter, "tags.`"), "`")
	return filter == "" || slices.ContainsFunc(r.Data.Tags, func(t wireTag) bool { return t.Key == key })
}

func (s *searches) answer(r transport.Request) (transport.Response, error) {
	if strings.Contains(r.URL, "/get-by-name") {
		return transport.Response{Status: 200, Body: []byte(`{"experiment":{"experiment_id":"1","name":"forecast"}}`)}, nil
	}
	var in struct {
		Filter     string   `json:"filter"`
		MaxResults int      `json:"max_results"`
		OrderBy    []string `json:"order_by"`
		PageToken  string   `json:"page_token"`
	}
	if err := json.Unmarshal(r.Body, &in); err != nil {
		s.t.Error(err)
	}
	s.log = append(s.log, fmt.Sprintf("%s %d %s", in.Filter, in.MaxResults, in.OrderBy))
	found := slices.DeleteFunc(slices.Clone(s.runs), func(r wireRun) bool { return !s.matches(in.Filter, r) })
	slices.SortFunc(found, inOrder(in.OrderBy[0] == "attributes.start_time DESC"))
	return transport.Response{Status: 200, Body: s.page(found, in.PageToken, in.MaxResults)}, nil
}

// inOrder is the order of the server: what has no start is at the end in both directions.
func inOrder(newest bool) func(a, b wireRun) int {
	start := func(r wireRun) float64 {
		switch at := float64(r.Info.StartTime); {
		case at == 0:
			return math.Inf(1)
		case newest:
			return -at
		default:
			return at
		}
	}
	return func(a, b wireRun) int {
		return cmp.Or(cmp.Compare(start(a), start(b)), strings.Compare(a.Info.RunID, b.Info.RunID))
	}
}

func (s *searches) page(found []wireRun, token string, size int) []byte {
	start := 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "offset-%d", &start); err != nil {
			s.t.Error(err)
		}
	}
	found = found[min(start, len(found)):]
	out := map[string]any{"runs": found[:min(size, len(found))]}
	if len(found) > size {
		out["next_page_token"] = fmt.Sprintf("offset-%d", start+size)
	}
	body, err := json.Marshal(out)
	if err != nil {
		s.t.Error(err)
	}
	return body
}

func drawRuns(t *rapid.T) []wireRun {
	keys := []string{"a", "b", "c", "not"}
	runs := make([]wireRun, rapid.IntRange(0, 25).Draw(t, "runs"))
	for i := range runs {
		runs[i].Info.RunID, runs[i].Info.Status = fmt.Sprintf("run%02d", i), "FINISHED"
		runs[i].Info.StartTime = rapid.Int64Range(0, 5).Draw(t, "start")
		for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom(keys), rapid.ID[string]).Draw(t, "keys") {
			runs[i].Data.Tags = append(runs[i].Data.Tags, wireTag{key, rapid.SampledFrom([]string{"true", "5", "false"}).Draw(t, "value")})
		}
	}
	return runs
}

// TestTaggedListIsWholeAndInOrder: whatever the runs and their tags, and however the size of pages changes on the way,
// each run that is wanted comes once, in order.
func TestTaggedListIsWholeAndInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		server := &searches{t: t, runs: drawRuns(rt)}
		c := newClient(t, Config{HTTP: doer(server.answer), Page: rapid.IntRange(1, 10).Draw(rt, "page")})
		query := backend.Query{
			AnyTag: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "a=5", "quo'te"}), 1, 4, rapid.ID[string]).Draw(rt, "any"),
			Newest: rapid.Bool().Draw(rt, "newest"),
		}
		if rapid.Bool().Draw(rt, "all") {
			query.AnyTag, query.All = nil, true
		}
		if rapid.Bool().Draw(rt, "without") {
			query.WithoutTags = []string{"not"}
		}
		var want, got []backend.Run
		for _, r := range slices.SortedFunc(slices.Values(server.runs), inOrder(query.Newest)) {
			if run := c.run(r); query.WantsTags(c.Dialect(), run.Tags) {
				want = append(want, run)
			}
		}
		for cursor, pages := "", 0; ; pages++ {
			page, err := c.List(t.Context(), query, cursor)
			if err != nil || pages > 200 {
				rt.Fatalf("page %d: %v", pages, err)
			}
			got = append(got, page.Runs...)
			if cursor = page.Next; cursor == "" {
				break
			}
			c.page.Store(int64(rapid.IntRange(1, 10).Draw(rt, "next page")))
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestTaggedListAsksForLittle(t *testing.T) {
	const oldest, newest = "[attributes.start_time ASC]", "[attributes.start_time DESC]"
	cases := []struct {
		reason string
		query  backend.Query
		want   []string
	}{
		{"all is one search", backend.Query{All: true}, []string{" 600 " + oldest}},
		{"what is left out is left out on our side, for != gives no run that lacks the tag", backend.Query{All: true, WithoutTags: []string{"a"}, Newest: true}, []string{" 600 " + newest}},
		{"a page of each search is in memory at once", backend.Query{AnyTag: []string{"a", "b=5", "c"}, Newest: true},
			[]string{"tags.`a` LIKE '%%' 200 " + newest, "tags.`b` = '5' 200 " + newest, "tags.`c` LIKE '%%' 200 " + newest}},
		{"but none is very small", backend.Query{AnyTag: strings.Split("abcdefghi", "")[:7]},
			[]string{"tags.`a` LIKE '%%' 100 " + oldest, "tags.`b` LIKE '%%' 100 " + oldest, "tags.`c` LIKE '%%' 100 " + oldest, "tags.`d` LIKE '%%' 100 " + oldest,
				"tags.`e` LIKE '%%' 100 " + oldest, "tags.`f` LIKE '%%' 100 " + oldest, "tags.`g` LIKE '%%' 100 " + oldest}},
		{"tags that no run can have are no reason to ask", backend.Query{AnyTag: []string{"mlflow.user"}}, nil},
	}
	for _, c := range cases {
		server := &searches{t: t}
		if _, err := newClient(t, Config{HTTP: doer(server.answer), Page: 600}).List(t.Context(), c.query, ""); err != nil {
			t.Errorf("%s: %v", c.reason, err)
		}
		if diff := gocmp.Diff(c.want, server.log); diff != "" {
			t.Errorf("searches (-want +got):\n%s%s", diff, c.reason)
		}
	}
}

func TestCursorOfAnotherTaggedList(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(nil)})
	for _, cursor := range []string{"x", "0:abc", "[]", "[{}]", "[{},{},{}]", `[{},{"skip":-1}]`, "{}"} {
		if _, err := c.List(t.Context(), backend.Query{AnyTag: []string{"a", "b"}}, cursor); !backend.IsKind(err, backend.Unsupported) {
			t.Errorf("cursor %q gives %v", cursor, err)
		}
	}
}
