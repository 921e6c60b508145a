package tracker_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/backendtest"
)

// mlflowRow is one way in which an MLflow server, or what stands before it, misbehaves for minutes.
type mlflowRow struct {
	name, reason string
	// rules are of the proxy.
	rules func(s *mlflowScene) []backendtest.Rule
	// begin and end are called when the trouble begins and when it is over; during, right before that.
	begin, during, end func(s *mlflowScene)
	// prefix: the project names its experiments by a prefix.
	prefix bool
	// slow: something is never answered, so that deadlines in real time must be short.
	slow bool
}

type (
	match = func(backendtest.Request) bool
	rules = func(*mlflowScene) []backendtest.Rule
)

func isMLflowWrite(r backendtest.Request) bool {
	return strings.HasSuffix(r.Path, "-tag") || strings.HasSuffix(r.Path, "/log-batch")
}

func isSearch(r backendtest.Request) bool { return strings.HasSuffix(r.Path, "/runs/search") }

func isReadByID(r backendtest.Request) bool {
	return isSearch(r) && bytes.Contains(r.Body, []byte("run_id IN"))
}

func isList(r backendtest.Request) bool { return isSearch(r) && !isReadByID(r) }

func isSetting(r backendtest.Request) bool {
	return strings.HasSuffix(r.Path, "/set-tag") || strings.HasSuffix(r.Path, "/log-batch")
}

func isRemoval(r backendtest.Request) bool { return strings.HasSuffix(r.Path, "/delete-tag") }

func isExperiment(r backendtest.Request) bool { return strings.Contains(r.Path, "/experiments/") }

// hit breaks all requests that match; nil is all.
func hit(on match, fault backendtest.Fault) rules {
	return func(*mlflowScene) []backendtest.Rule { return []backendtest.Rule{{Fault: fault, Match: on}} }
}

// hitEvery breaks each nth of those that match.
func hitEvery(n int, on match, fault backendtest.Fault) rules {
	var mu sync.Mutex
	seen := 0
	return hit(func(r backendtest.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if on == nil || on(r) {
			seen++
			return seen%n == 0
		}
		return false
	}, fault)
}

// mostSlow is how many requests are left unanswered, each for a deadline in real time.
const mostSlow = 6

// few ends what takes real time after some hits.
func few(of rules) rules {
	return func(s *mlflowScene) []backendtest.Rule {
		all := of(s)
		for i := range all {
			all[i].Times = mostSlow
		}
		return all
	}
}

// mlflowError answers as MLflow's handlers do.
func mlflowError(status int, code, message string) backendtest.Fault {
	body, err := json.Marshal(map[string]string{"error_code": code, "message": message})
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return backendtest.Answer(status, string(body), "Content-Type", "application/json")
}

func later(status int, seconds string) backendtest.Fault {
	return backendtest.Answer(status, "slow down", "Content-Type", "text/plain", "Retry-After", seconds)
}

// mlflowTable is every way to misbehave.
func mlflowTable() []mlflowRow {
	var rows []mlflowRow
	for _, part := range [][]mlflowRow{mlflowStatuses(), mlflowAnswers(), mlflowConnections(), mlflowLists(), mlflowStores()} {
		rows = append(rows, part...)
	}
	return rows
}

func mlflowStatuses() []mlflowRow {
	rows := []mlflowRow{
		{name: "nothing", reason: "the scene itself ends well"},
		{name: "no API", reason: "a path that leads nowhere is waited out", rules: hit(nil, backendtest.Answer(http.StatusNotFound, "<h1>Not Found</h1>", "Content-Type", "text/html"))},
		{name: "403 on an experiment", reason: "what one experiment forbids, the others do not", rules: forbidSecond, during: firstGoesOn},
		{name: "403 for an experiment's name", reason: "an experiment that is hidden has no deleted runs", rules: hideSecond},
		{
			name: "removals refused", reason: "a change of which one half is done is finished later, and what was there before is given back",
			rules: hit(isRemoval, mlflowError(http.StatusInternalServerError, "INTERNAL_ERROR", "database is locked")),
		},
		{name: "settings refused", reason: "and so is the other half", rules: hit(isSetting, mlflowError(http.StatusInternalServerError, "INTERNAL_ERROR", "database is locked"))},
		{name: "503 for 90 s", reason: "a pause is kept that an outage asks for", rules: hit(nil, later(http.StatusServiceUnavailable, "90"))},
		{name: "429 for 7 s", reason: "no request before Retry-After is over", rules: hit(nil, later(http.StatusTooManyRequests, "7"))},
		{name: "429 for writes", reason: "also of a write, for all that use the credential", rules: hit(isMLflowWrite, later(http.StatusTooManyRequests, "60"))},
		{name: "429 without a time", reason: "then it backs off", rules: hit(nil, backendtest.Answer(http.StatusTooManyRequests, ""))},
	}
	for _, status := range []int{400, 401, 403, 408, 409, 500, 502, 504} {
		fault := mlflowError(status, "SOME_ERROR", "no")
		rows = append(rows,
			mlflowRow{name: http.StatusText(status), reason: "a refusal of everything is waited out", rules: hit(nil, fault)},
			mlflowRow{name: http.StatusText(status) + " to writes", reason: "what can be read can't be written", rules: hit(isMLflowWrite, fault)},
		)
	}
	return rows
}

func mlflowAnswers() []mlflowRow {
	return []mlflowRow{
		{name: "login page", reason: "an ingress wants a login", rules: hit(nil, backendtest.LoginPage())},
		{name: "login page to writes", reason: "a page is no success", rules: hit(isMLflowWrite, backendtest.LoginPage())},
		{name: "redirect", reason: "a redirect is not followed", rules: hit(nil, backendtest.Redirect("https://login.invalid/"))},
		{name: "truncated", reason: "half a document is none", rules: hit(isSearch, backendtest.Truncate())},
		{name: "other JSON", reason: "JSON of something else is no empty list", rules: hit(nil, backendtest.Answer(http.StatusOK, `{"status":"ok"}`, "Content-Type", "application/json"))},
		{name: "100 MB", reason: "an answer beyond the limit is not taken in", rules: hitEvery(4, isSearch, func(x *backendtest.Exchange) { backendtest.Huge(huge)(x) })},
		{name: "clock ahead", reason: "the server's time is hours ahead", begin: func(s *mlflowScene) { s.front.setSkew(5 * time.Hour) }},
		{name: "clock behind", reason: "the server's time is hours behind", begin: func(s *mlflowScene) { s.front.setSkew(-5 * time.Hour) }},
	}
}

func mlflowConnections() []mlflowRow {
	return []mlflowRow{
		{name: "dropped before", reason: "nothing was done", rules: hit(nil, backendtest.ResetBefore())},
		{name: "dropped after", reason: "all was done, and nobody heard", rules: hit(nil, backendtest.ResetAfter())},
		{name: "dropped after writes", reason: "what was done and not told is ours", rules: hit(isMLflowWrite, backendtest.ResetAfter())},
		{name: "dropped in the middle", reason: "half an answer is none", rules: hit(nil, backendtest.ResetMidway())},
		{name: "every third", reason: "what fails now and then is tried again", rules: hitEvery(3, nil, backendtest.ResetAfter())},
		{name: "byte by byte", reason: "an answer that goes on for ever ends at the deadline", slow: true, rules: few(hitEvery(4, nil, backendtest.Drip()))},
		{name: "no answer to writes", reason: "a wait has an end", slow: true, rules: few(hitEvery(2, isMLflowWrite, backendtest.Hang()))},
	}
}

func mlflowLists() []mlflowRow {
	return []mlflowRow{
		{name: "other runs", reason: "an answer about other runs is none", rules: hit(isReadByID, rewriteRuns(func(runs []any) []any {
			for _, run := range runs {
				infoOf(run)["run_id"] = strings.Repeat("f", 32)
			}
			return runs
		}))},
		{name: "one run for all", reason: "nor one that repeats a run", rules: hit(isSearch, rewriteRuns(func(runs []any) []any {
			for i := range runs {
				runs[i] = runs[0]
			}
			return runs
		}))},
		{name: "no ids", reason: "what has no id is no run", rules: hit(isSearch, rewriteRuns(func(runs []any) []any {
			for _, run := range runs {
				delete(infoOf(run), "run_id")
			}
			return runs
		}))},
		{name: "missing pages", reason: "absence from a list proves nothing", rules: hit(isList, rewriteRuns(func(runs []any) []any { return runs[:1] }))},
		{name: "missing rows", reason: "a run is called deleted where two reads by id say so", rules: hitEvery(2, isReadByID, rewriteRuns(func(runs []any) []any { return runs[1:] }))},
		{name: "wrong token", reason: "a page that cannot be had is not the end of the list", rules: hit(isList, backendtest.Rewrite(func(answer map[string]any) { answer["next_page_token"] = "bogus" }))},
		{name: "same page", reason: "pages that go round in circles end", rules: hit(isSearch, samePage)},
		{name: "same page of experiments", reason: "also those of experiments", rules: hit(isExperiment, samePage), prefix: true},
		{name: "another experiment", reason: "an answer about another experiment is none", rules: hit(isExperiment, backendtest.Rewrite(func(answer map[string]any) {
			answer["experiment"] = map[string]any{"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}
		}))},
		{name: "experiments without ids", reason: "what has no id is no experiment", prefix: true, rules: hit(isExperiment, backendtest.Rewrite(func(answer map[string]any) {
			all, _ := answer["experiments"].([]any)
			for _, x := range all {
				delete(x.(map[string]any), "experiment_id")
			}
		}))},
	}
}

func mlflowStores() []mlflowRow {
	inSecond := func(path string, in map[string]string) func(*mlflowScene) {
		return func(s *mlflowScene) {
			s.t.Helper()
			body := map[string]string{"experiment_id": s.second}
			for key, value := range in {
				body[key] = strings.ReplaceAll(value, "NAME", s.secondName)
			}
			s.must(s.server.Call(s.t.Context(), http.MethodPost, "experiments/"+path, body, nil))
		}
	}
	rename, back := inSecond("update", map[string]string{"new_name": "away-NAME"}), inSecond("update", map[string]string{"new_name": "NAME"})
	remove, restore := inSecond("delete", nil), inSecond("restore", nil)
	farGone := func(do func(*mlflowScene)) func(*mlflowScene) {
		return func(s *mlflowScene) { s.mayBeGone("far"); do(s) }
	}
	return []mlflowRow{
		{name: "deleted run", reason: "a run that is restored is taken up again", begin: deleteIdle, end: restoreIdle},
		{name: "deleted experiment", reason: "an experiment that is named and is not there has no deleted runs", begin: remove, end: restore},
		{name: "deleted experiment of a prefix", reason: "runs that come back with their experiment are taken up again", prefix: true, begin: farGone(remove), end: restore},
		{name: "renamed experiment", reason: "another name is no deletion either", begin: rename, end: back},
		{name: "renamed experiment of a prefix", reason: "runs that come back with the name are taken up again", prefix: true, begin: farGone(rename), end: back},
	}
}

func deleteIdle(s *mlflowScene) {
	s.t.Helper()
	s.mayBeGone("idle")
	s.must(s.server.DeleteRun(s.t.Context(), s.ids["idle"]))
}

func restoreIdle(s *mlflowScene) {
	s.t.Helper()
	s.must(s.server.RestoreRun(s.t.Context(), s.ids["idle"]))
}

// forbidSecond refuses writes to the run in the second experiment.
func forbidSecond(s *mlflowScene) []backendtest.Rule {
	return []backendtest.Rule{{
		Match: func(r backendtest.Request) bool {
			return isMLflowWrite(r) && bytes.Contains(r.Body, []byte(s.ids["far"]))
		},
		Fault: backendtest.Answer(http.StatusForbidden, "Permission denied", "Content-Type", "text/html"),
	}}
}

// firstGoesOn: the other experiment's runs are served.
func firstGoesOn(s *mlflowScene) {
	s.t.Helper()
	for _, name := range []string{"idle", "live", "later", "many-0"} {
		s.expectTags(name, s.want[name])
		s.h.ExpectReady(s.objects[name], v1alpha1.ReasonSynced)
	}
}

// hideSecond refuses to name the second experiment.
func hideSecond(s *mlflowScene) []backendtest.Rule {
	return []backendtest.Rule{{
		Match: func(r backendtest.Request) bool { return isExperiment(r) && strings.Contains(r.Query, s.secondName) },
		Fault: backendtest.Answer(http.StatusForbidden, "Permission denied", "Content-Type", "text/html"),
	}}
}

// rewriteRuns changes the runs of a search that found some.
func rewriteRuns(change func(runs []any) []any) backendtest.Fault {
	return backendtest.Rewrite(func(answer map[string]any) {
		if runs, _ := answer["runs"].([]any); len(runs) > 0 {
			answer["runs"] = change(runs)
		}
	})
}

func infoOf(run any) map[string]any { return run.(map[string]any)["info"].(map[string]any) }

// samePage gives lists whose every page is the first, and leads to one of two others.
func samePage(x *backendtest.Exchange) {
	next := "a"
	if body, err := io.ReadAll(x.Request.Body); err == nil {
		var ask map[string]any
		if json.Unmarshal(body, &ask) == nil {
			if ask["page_token"] == "a" {
				next = "b"
			}
			delete(ask, "page_token")
			if body, err = json.Marshal(ask); err != nil {
				panic(err) // it was JSON before
			}
		}
		x.Request.Body, x.Request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	backendtest.Rewrite(func(answer map[string]any) { answer["next_page_token"] = next })(x)
}
