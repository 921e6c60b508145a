package tracker_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	huge = 100 << 20
	// taken is the most that the operator takes in of an answer, and in the buffers of sockets there is a little more.
	taken = 64<<20 + 16<<20
	// pageSize is that of lists by offset: small, so that there are pages.
	pageSize = 3
)

// dribble answers with a byte now and then.
func dribble(x *exchange) {
	x.w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(x.w)
	for range 1000 {
		if _, err := io.WriteString(x.w, " "); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-x.r.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sometimes bends every fourth list of runs.
func sometimes(bend bender) func(*scene) {
	return func(s *scene) {
		var mu sync.Mutex
		n := 0
		s.front.setBend(func(x *exchange) {
			mu.Lock()
			if x.isList() {
				n++
			}
			hit := x.isList() && n%4 == 1
			mu.Unlock()
			if hit {
				bend(x)
				return
			}
			x.pass()
		})
	}
}

// stream answers with blanks and no length.
func stream(x *exchange) {
	x.w.Header().Set("Content-Type", "application/json")
	chunk := bytes.Repeat([]byte{' '}, 1<<20)
	sent := 0
	for sent < huge {
		n, err := x.w.Write(chunk)
		sent += n
		if err != nil {
			break
		}
	}
	x.front.sentTo(sent)
}

var bombs = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	chunk := bytes.Repeat([]byte{' '}, 1<<20)
	for range huge / len(chunk) {
		if _, err := z.Write(chunk); err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
})

// bomb answers with blanks that are few bytes on the wire.
func bomb(x *exchange) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Encoding", "gzip")
	_, _ = x.w.Write(bombs()) // the client leaves in the middle of it
}

// refuseUntil answers 429 with a date, by a clock that is hours ahead.
func refuseUntil(x *exchange) {
	now := x.front.clock.Now().Add(3 * time.Hour)
	x.w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	x.w.Header().Set("Retry-After", now.Add(time.Minute).UTC().Format(http.TimeFormat))
	x.refuse(http.StatusTooManyRequests, "Rate limit exceeded")
}

// count is how many runs a write is about.
func (x *exchange) count() int { return strings.Count(x.ask.Query, "upsertBucket(") }

// firstWrites leaves only the first n runs in a write.
func (x *exchange) firstWrites(n int) {
	var variables, body []string
	kept := map[string]any{}
	for i := range n {
		variables = append(variables, fmt.Sprintf("$i%d:String,$t%d:[String!]", i, i))
		body = append(body, fmt.Sprintf("u%d:upsertBucket(input:{id:$i%d,tags:$t%d}){bucket{id name tags} inserted}", i, i, i))
		for _, name := range []string{fmt.Sprintf("i%d", i), fmt.Sprintf("t%d", i)} {
			kept[name] = x.ask.Variables[name]
		}
	}
	x.ask = ask{
		Query:     "mutation RuntagWrite(" + strings.Join(variables, ",") + "){" + strings.Join(body, " ") + "}",
		Variables: kept,
	}
}

// applyHalf carries out the first half of a write, and then fails.
func applyHalf(x *exchange) {
	n := x.count()
	if !x.isWrite() || n < 2 {
		x.pass()
		return
	}
	x.firstWrites(n / 2)
	x.carry()
	x.refuse(http.StatusInternalServerError, "deadlock found; try restarting transaction")
}

// tellHalf carries out the first half of a write, tells of that, and has an error for one more run.
func tellHalf(x *exchange) {
	n := x.count()
	if !x.isWrite() || n < 2 {
		x.pass()
		return
	}
	x.firstWrites(n / 2)
	answer := x.carry()
	var told map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil {
		panic(err) // it is the tracker's own
	}
	told["errors"] = []any{map[string]any{"message": "deadlock found", "path": []any{fmt.Sprintf("u%d", n-1)}}}
	body, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	x.send(answer, body)
}

// answerOthers answers a question about some runs with another one.
func answerOthers(x *exchange) {
	if x.byID() {
		x.ask.Variables["filters"] = `{"name":{"$in":["alone"]}}`
		answer := x.carry()
		x.send(answer, answer.Body.Bytes())
		return
	}
	x.pass()
}

// repeatFirst answers a question about some runs with the first of them, again and again.
func repeatFirst(x *exchange) {
	if !x.byID() {
		x.pass()
		return
	}
	x.relist(func(list *runsAnswer) {
		edges := list.Data.Project.Runs.Edges
		for i := range edges {
			edges[i] = edges[0]
		}
	})
}

// swapWrites tells of a write that it was done to another run.
func swapWrites(x *exchange) {
	if !x.isWrite() {
		x.pass()
		return
	}
	answer := x.carry()
	x.send(answer, bytes.ReplaceAll(answer.Body.Bytes(), []byte(`"id":"`), []byte(`"id":"U`)))
}

// dropPages ends lists after their first run; questions by id are answered.
func dropPages(x *exchange) {
	if !x.isList() || x.byID() {
		x.pass()
		return
	}
	x.relist(func(list *runsAnswer) {
		runs := &list.Data.Project.Runs
		runs.Edges = runs.Edges[:min(1, len(runs.Edges))]
		runs.PageInfo["hasNextPage"] = false
	})
}

// dropEverySecond leaves the first run out of every second answer to a question by id.
func dropEverySecond() bender {
	var mu sync.Mutex
	n := 0
	return func(x *exchange) {
		if !x.byID() {
			x.pass()
			return
		}
		mu.Lock()
		n++
		hit := n%2 == 0
		mu.Unlock()
		x.relist(func(list *runsAnswer) {
			if runs := &list.Data.Project.Runs; hit && len(runs.Edges) > 0 {
				runs.Edges = runs.Edges[1:]
			}
		})
	}
}

// byOffset gives lists in small pages whose cursors are offsets: what comes and goes in between shifts them.
func byOffset(x *exchange) {
	if !x.isList() {
		x.pass()
		return
	}
	after, _ := x.ask.Variables["after"].(string)
	offset, err := strconv.Atoi(after)
	if err != nil {
		offset = 0 // the first page
	}
	delete(x.ask.Variables, "after")
	x.ask.Variables["first"] = 1000
	x.relist(func(list *runsAnswer) {
		runs := &list.Data.Project.Runs
		end := min(offset+pageSize, len(runs.Edges))
		runs.PageInfo["hasNextPage"] = end < len(runs.Edges)
		runs.PageInfo["endCursor"] = strconv.Itoa(end)
		runs.Edges = runs.Edges[min(offset, end):end]
	})
}

// circle gives lists whose pages lead to each other.
func circle(x *exchange) {
	if !x.isList() || x.byID() {
		x.pass()
		return
	}
	after, _ := x.ask.Variables["after"].(string)
	delete(x.ask.Variables, "after")
	x.relist(func(list *runsAnswer) {
		runs := &list.Data.Project.Runs
		runs.PageInfo["hasNextPage"] = true
		runs.PageInfo["endCursor"] = map[string]string{"": "a", "a": "b", "b": "a"}[after]
		runs.Edges = slices.Clone(runs.Edges)
	})
}
