package tracker_test

import (
	"net/http"
	"time"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// row is one way in which the tracker misbehaves, for minutes.
type row struct {
	name, reason string
	// faults are the tracker's own, bend those of what stands before it.
	faults wandbtest.Faults
	bend   bender
	// begin and end are called when the trouble begins and when it is over.
	begin, end func(s *scene)
	// many: there are so many more runs.
	many int
	// slow: something is never answered, so that deadlines in real time must be short.
	slow bool
	// damages: the tracker itself does harm to foreign tags.
	damages bool
}

// patience is how long a pass and a request may take where the tracker does not answer.
const patience = 250 * time.Millisecond

func lasting(d time.Duration) wandbtest.Duration { return wandbtest.Duration{Duration: d} }

// all makes faults of one that hits every request, or those of these operations.
func all(f wandbtest.Fault, operations ...string) wandbtest.Faults {
	f.Operations = operations
	return wandbtest.Faults{Faults: []wandbtest.Fault{f}}
}

func retryAfter(seconds string) map[string]string { return map[string]string{"Retry-After": seconds} }

const (
	lists  = "RuntagRuns"
	writes = "RuntagWrite"
)

// table is every way to misbehave.
func table(seed uint64) []row {
	var rows []row
	for _, part := range [][]row{statuses(), answers(), connections(seed), limits(), stores()} {
		rows = append(rows, part...)
	}
	return rows
}

func statuses() []row {
	rows := []row{{name: "nothing", reason: "the scene itself ends well"}}
	for _, status := range []int{400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 504} {
		rows = append(rows, row{
			name: http.StatusText(status), reason: "a refusal of everything is waited out", faults: all(wandbtest.Fault{Status: status}),
		})
	}
	for _, status := range []int{400, 403, 500} {
		rows = append(rows, row{
			name: http.StatusText(status) + " to writes", reason: "what can be read can't be written", many: many,
			faults: all(wandbtest.Fault{Status: status}, writes),
		})
	}
	return append(rows,
		row{
			name: "done and denied", reason: "the tracker does what it says it didn't",
			faults: all(wandbtest.Fault{Status: 503, Apply: true}, writes),
		},
		row{
			name: "done and refused", reason: "the tracker does what it says it didn't, and blames us",
			faults: all(wandbtest.Fault{Status: 400, Apply: true}, writes),
		},
		row{
			name: "another's page", reason: "a gateway's page is not shown nor believed",
			faults: all(wandbtest.Fault{Status: 502, Body: "<html>Bad Gateway</html>", ContentType: "text/html"}),
		},
	)
}

func answers() []row {
	return []row{
		{name: "login page", reason: "an ingress wants a login", faults: all(wandbtest.Fault{LoginPage: true})},
		{name: "redirect", reason: "a redirect is not followed", faults: all(wandbtest.Fault{Redirect: "https://login.invalid/"})},
		{name: "null viewer", reason: "a key that is not known any more is no deletion", faults: all(wandbtest.Fault{NullViewer: true}), many: many},
		{name: "null project", reason: "a project that is hidden is no deletion", faults: all(wandbtest.Fault{NullProject: true}), many: many},
		{name: "truncated", reason: "half a document is none", faults: all(wandbtest.Fault{Truncate: 60})},
		{
			name: "truncated writes", reason: "what was done and not told is found out",
			faults: all(wandbtest.Fault{Truncate: 10}, writes), many: many,
		},
		{name: "text", reason: "what is no JSON is no empty list", faults: all(wandbtest.Fault{Status: 200, Body: "hello", ContentType: "text/plain"})},
		{name: "empty", reason: "JSON of something else is no empty list", faults: all(wandbtest.Fault{Status: 200, Body: `{"data":{}}`})},
		{name: "100 MB", reason: "an answer beyond the limit is not taken in", faults: all(wandbtest.Fault{Pad: 100 << 20}, lists)},
		{name: "100 MB to writes", reason: "nor one to a write, which happened", faults: all(wandbtest.Fault{Pad: 100 << 20}, writes)},
		{name: "ignored tags", reason: "an answer of old tags is no success", faults: wandbtest.Faults{IgnoreTags: true}},
		{name: "errors as 200", reason: "runs that go just before a write are told apart", faults: wandbtest.Faults{ErrorsAs200: true}, many: many, begin: loseOneAtWrite},
		{name: "errors", reason: "and so where the status is an error's", many: many, begin: loseOneAtWrite},
		{
			name: "upsert inserts", reason: "writes that make runs are few, and end", faults: wandbtest.Faults{UpsertByID: "insert"},
			end: editProject,
		},
		{
			name: "upsert changes another", reason: "writes that change other runs are few, and end", faults: wandbtest.Faults{UpsertByID: "other"},
			damages: true, end: editProject,
		},
		{name: "clock ahead", reason: "the tracker's time is hours ahead", faults: wandbtest.Faults{ClockSkew: lasting(5 * time.Hour)}},
		{name: "clock behind", reason: "the tracker's time is hours behind", faults: wandbtest.Faults{ClockSkew: lasting(-5 * time.Hour)}},
	}
}

func connections(seed uint64) []row {
	return []row{
		{name: "dropped before", reason: "nothing was done", faults: all(wandbtest.Fault{Drop: "before"})},
		{name: "dropped after", reason: "all was done, and nobody heard", faults: all(wandbtest.Fault{Drop: "after"}), many: many},
		{name: "dropped in the middle", reason: "half an answer is none", faults: all(wandbtest.Fault{Drop: "middle"})},
		{
			name: "every third", reason: "what fails now and then is tried again", many: many,
			faults: wandbtest.Faults{Faults: []wandbtest.Fault{{Drop: "after", Every: 3, UserAgent: "runtag"}}},
		},
		{
			name: "by chance", reason: "so is what fails at random", many: many,
			faults: wandbtest.Faults{Seed: seed, Faults: []wandbtest.Fault{{Status: 503, Rate: 0.3}, {Drop: "after", Rate: 0.2}, {Truncate: 30, Rate: 0.2}}},
		},
		{
			name: "the first writes", reason: "a batch that fails twice is halved, and lands", many: many,
			faults: wandbtest.Faults{Faults: []wandbtest.Fault{{Status: 500, Skip: 1, Count: 2, Operations: []string{writes}}}},
		},
		{name: "no answer", reason: "a wait has an end", slow: true, faults: all(wandbtest.Fault{Latency: lasting(100 * time.Hour)})},
		{name: "no answer to writes", reason: "and so has that for a write", slow: true, faults: all(wandbtest.Fault{Latency: lasting(100 * time.Hour)}, writes)},
		{name: "byte by byte", reason: "an answer that goes on for ever ends at the deadline", slow: true, faults: all(wandbtest.Fault{ByteDelay: lasting(time.Hour)})},
		{name: "a byte a moment", reason: "also where bytes do come", slow: true, bend: dribble},
		{name: "latency", reason: "answers that come late count", faults: all(wandbtest.Fault{Latency: lasting(5 * time.Millisecond)}, writes)},
		{name: "streamed 100 MB", reason: "an answer without a length is cut at the limit", begin: sometimes(stream)},
		{name: "zipped 100 MB", reason: "so is one that is small on the wire", begin: sometimes(bomb)},
		{name: "another's certificate", reason: "TLS with a wrong name is no tracker", begin: wrongName, end: rightName},
	}
}

func limits() []row {
	return []row{
		{name: "429 for 7 s", reason: "no request before Retry-After is over", faults: all(wandbtest.Fault{Status: 429, Headers: retryAfter("7")}), many: many},
		{name: "429 for 90 s", reason: "however long it is", faults: all(wandbtest.Fault{Status: 429, Headers: retryAfter("90")}), many: many},
		{name: "429 for writes", reason: "also of a write, for all that use the key", faults: all(wandbtest.Fault{Status: 429, Headers: retryAfter("60")}, writes), many: many},
		{name: "429 without a time", reason: "then it backs off", faults: all(wandbtest.Fault{Status: 429})},
		{name: "429 of nothing", reason: "a pause of nothing is no answer", faults: all(wandbtest.Fault{Status: 429, Headers: retryAfter("0")})},
		{name: "429 until a time", reason: "a date counts by the server's own clock", faults: wandbtest.Faults{ClockSkew: lasting(3 * time.Hour)}, bend: refuseUntil},
		{
			name: "a budget", reason: "a rate limit is kept to", many: many, slow: true,
			faults: wandbtest.Faults{RateLimit: &wandbtest.RateLimit{Requests: 10, Per: lasting(time.Minute), RetryAfter: true}},
		},
		{
			name: "a budget, not told", reason: "also where the refusal names no time", many: many, slow: true,
			faults: wandbtest.Faults{RateLimit: &wandbtest.RateLimit{Requests: 10, Per: lasting(time.Minute)}},
		},
		{name: "one field", reason: "documents get as small as is asked", faults: wandbtest.Faults{MaxAliases: 1}, many: many},
		{name: "few fields", reason: "and no smaller", faults: wandbtest.Faults{MaxAliases: 5}, many: many},
		{name: "short documents", reason: "so by their length", faults: wandbtest.Faults{MaxDocument: 700}, many: many},
		{name: "no documents", reason: "and where not even a question fits", faults: wandbtest.Faults{MaxDocument: 100}},
	}
}

func stores() []row {
	return []row{
		{name: "hidden rows", reason: "an empty page is not the last", faults: wandbtest.Faults{HiddenRows: 1}},
		{name: "hidden runs", reason: "many that vanish at once are not called deleted", faults: wandbtest.Faults{HiddenRows: 100}, many: many, begin: hideAlone},
		{name: "half a batch", reason: "what landed before a failure is ours, the rest is done again", bend: applyHalf, many: many},
		{name: "half an answer", reason: "so where the answer tells of one half alone", bend: tellHalf, many: many},
		{name: "other runs", reason: "an answer about other runs is none", bend: answerOthers},
		{name: "one run for all", reason: "nor one that repeats a run", bend: repeatFirst, many: many},
		{name: "swapped writes", reason: "an answer to a write that names another run is no success", bend: swapWrites, end: editProject},
		{name: "missing pages", reason: "absence from a list proves nothing", bend: dropPages, many: many},
		{name: "missing rows", reason: "a run is called deleted where two reads by id say so", bend: dropEverySecond()},
		{name: "shifting offsets", reason: "runs come and go between pages", bend: byOffset, begin: comeAndGo, many: many},
		{name: "same page", reason: "pages that go round in circles end", bend: circle, many: many},
		{name: "ids used again", reason: "what was ours on the run before is foreign on the next", begin: useAgain},
		{name: "ids used again in trouble", reason: "also while nothing else works", faults: all(wandbtest.Fault{Drop: "after", Every: 2}), begin: useAgain},
	}
}
