package wandb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// writer writes the runs of one read.
type writer struct {
	c      *Client
	op     string
	readAt time.Time // when the read was answered
	active bool      // the runs are active: what was read grows old
	landed bool      // a write of this read has landed
	// alone counts runs that were refused on their own, for a reason that may hold for all.
	alone int
}

// write sends the lists of all items, in one request unless the server refuses that. Items that it leaves undone have
// to be read again. An error ends the whole change.
func (w *writer) write(ctx context.Context, items []*item) error {
	if w.c.learned.useBulk() {
		var err error
		if items, err = w.modify(ctx, items); err != nil {
			return err
		}
	}
	queue := [][]*item{items}
	for len(queue) > 0 {
		batch := queue[0]
		queue = queue[1:]
		if len(batch) == 0 || w.tooOld(batch) {
			continue
		}
		if limit := w.c.learned.current().Change; len(batch) > limit {
			queue = slices.Insert(queue, 0, batch[:limit], batch[limit:])
			continue
		}
		answer, err := w.c.call(ctx, w.op, "write tags", writeDocument(len(batch)), writeVariables(batch))
		if err != nil {
			return w.lost(batch, err)
		}
		again, err := w.settle(batch, answer)
		if err != nil {
			return err
		}
		queue = slices.Insert(queue, 0, again...)
	}
	return nil
}

// tooOld says that a batch of active runs must be read again before it is written, in smaller batches from then on.
func (w *writer) tooOld(batch []*item) bool {
	if !w.active {
		return false
	}
	if w.c.since(w.readAt) <= soon {
		w.c.learned.changeFast()
		return false
	}
	w.c.learned.changeSlow(len(batch))
	for _, i := range batch {
		if i.reads >= maxReads {
			i.fail(&backend.Error{Kind: backend.Conflict, Op: w.op, Message: fmt.Sprintf(
				"run %q is active and could not be written within %s of reading it; it is tried again", i.result.Before.ID, soon)}, false)
		}
	}
	return true
}

func writeDocument(n int) string {
	var variables, body strings.Builder
	for i := range n {
		fmt.Fprintf(&variables, "$i%d:String,$t%d:[String!],", i, i)
		fmt.Fprintf(&body, "\n  %s:upsertBucket(input:{id:$i%d,tags:$t%d}){bucket{id name tags} inserted}", alias(i), i, i)
	}
	return "mutation RuntagWrite(" + strings.TrimSuffix(variables.String(), ",") + "){" + body.String() + "\n}"
}

func writeVariables(batch []*item) map[string]any {
	variables := make(map[string]any, 2*len(batch))
	for n, i := range batch {
		variables[fmt.Sprintf("i%d", n)] = i.result.Before.Handle
		variables[fmt.Sprintf("t%d", n)] = i.list
	}
	return variables
}

func alias(n int) string { return fmt.Sprintf("u%d", n) }

// lost ends a batch whose write got no GraphQL answer. Where nothing can have been written the error is the caller's.
func (w *writer) lost(batch []*item, err error) error {
	switch backend.KindOf(err) {
	case backend.RateLimited, backend.AccessDenied, backend.AddressRefused, backend.NotLeading:
		return err
	}
	for _, i := range batch {
		i.fail(err, true)
	}
	return err
}

// settle reads the answer to the write of a batch. It returns what has to be sent again, in smaller batches.
func (w *writer) settle(batch []*item, answer reply) ([][]*item, error) {
	aliased(len(batch), answer.errors)
	if complaint := whole(batch, answer); complaint != "" {
		return w.settleRefused(batch, answer, complaint)
	}
	byAlias := make(map[string]string, len(answer.errors))
	for _, e := range answer.errors {
		if _, told := byAlias[e.Alias]; !told {
			byAlias[e.Alias] = e.Message
		}
	}
	var strays []*item
	for n, i := range batch {
		message, told := byAlias[alias(n)]
		if !told {
			// A complaint about no run in particular is about those that have no answer.
			message, told = byAlias[""]
		}
		if payload := answer.data[alias(n)]; !missing(payload) {
			if w.confirm(i, payload) {
				strays = append(strays, i)
			}
			continue
		}
		if told {
			w.refuse(i, message)
		} else {
			i.fail(w.conflict(i, "the server did not say what became of the write"), true)
		}
	}
	w.settleStrays(strays)
	return nil, nil
}

// aliased leaves an error only the alias of one of n runs; a path that begins otherwise is about the request.
func aliased(n int, complaints []graphError) {
	known := make(map[string]bool, n)
	for i := range n {
		known[alias(i)] = true
	}
	for i := range complaints {
		if !known[complaints[i].Alias] {
			complaints[i].Alias = ""
		}
	}
}

// whole gives what the server says about a request that it answered with nothing; empty where there is an answer for
// at least one run.
func whole(batch []*item, answer reply) string {
	perRun := 0
	for n := range batch {
		if !missing(answer.data[alias(n)]) {
			return ""
		}
	}
	for _, e := range answer.errors {
		if e.Alias != "" && !answer.refused() {
			perRun++
		}
	}
	if len(answer.errors) == 0 || perRun == len(answer.errors) {
		return ""
	}
	return answer.errors[0].Message
}

// settleRefused finds out which run a refused batch was refused for: the one whose tag is named, or else by halves.
func (w *writer) settleRefused(batch []*item, answer reply, complaint string) ([][]*item, error) {
	half := len(batch) / 2
	if tooLarge(answer) && half > 0 {
		w.c.learned.changeRefused(len(batch))
		return [][]*item{batch[:half], batch[half:]}, nil
	}
	if rest, found := w.settleNamed(batch, answer); found {
		return [][]*item{rest}, nil
	}
	err := w.c.classify(w.op, complaint)
	switch kind := backend.KindOf(err); {
	case kind == backend.AccessDenied, kind == backend.RateLimited, kind == backend.Unsupported:
		return nil, err
	case !answer.refused():
		// The server got as far as running it: the outcome is unknown.
		for _, i := range batch {
			i.fail(err, true)
		}
		return nil, nil
	case half > 0:
		return [][]*item{batch[:half], batch[half:]}, nil
	}
	w.refuse(batch[0], complaint)
	if w.alone++; w.alone > 1 && !w.landed {
		return nil, err
	}
	return nil, nil
}

// refuse ends an item with what the server said about its write.
func (w *writer) refuse(i *item, message string) {
	err := w.c.classifyRun(w.op, message)
	if tag, ok := namedTag(i.list, message); ok {
		err = &backend.Error{Kind: backend.InvalidTag, Op: w.op, Tag: tag, Message: w.c.clean(message)}
	}
	i.fail(err, backend.IsKind(err, backend.Unavailable))
}

const invalidPrefix = "invalid tag '"

// settleNamed ends the runs that a refusal is about, by alias or by carrying the refused tag, and returns the others.
func (w *writer) settleNamed(batch []*item, answer reply) (rest []*item, found bool) {
	var all []string
	for _, i := range batch {
		all = append(all, i.list...)
	}
	for _, e := range answer.errors {
		tag, named := namedTag(all, e.Message)
		if e.Alias == "" && !named {
			continue
		}
		for n, i := range batch {
			if e.Alias == alias(n) || e.Alias == "" && slices.Contains(i.list, tag) {
				w.refuse(i, e.Message)
			} else {
				rest = append(rest, i)
			}
		}
		return rest, true
	}
	return nil, false
}

// namedTag finds the tag that "invalid tag '<t>'…" is about. Of several that fit, as with "it" and "it's", it is the longest.
func namedTag(list []string, message string) (tag string, ok bool) {
	for _, t := range list {
		if strings.Contains(message, invalidPrefix+t+"'") && (!ok || len(t) > len(tag)) {
			tag, ok = t, true
		}
	}
	return tag, ok
}

// confirm compares the answer to one write with what was sent. It says whether the write landed on another run.
func (w *writer) confirm(i *item, payload json.RawMessage) (stray bool) {
	var p struct {
		Bucket *struct {
			ID   string          `json:"id"`
			Tags json.RawMessage `json:"tags"`
		} `json:"bucket"`
		Inserted bool `json:"inserted"`
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.Bucket == nil || p.Bucket.ID == "" {
		i.fail(w.conflict(i, "the server did not say what became of the write"), true)
		return false
	}
	if p.Inserted || p.Bucket.ID != i.result.Before.Handle {
		return true
	}
	w.c.learned.wroteByID()
	w.landed = true
	now, err := decodeTags(p.Bucket.Tags)
	if err != nil {
		i.fail(w.conflict(i, "the server did not say which tags the run has now"), true)
		return false
	}
	if !maps.Equal(setOf(now), setOf(i.list)) {
		i.fail(w.conflict(i, "the run has other tags now than those that were sent"), true)
		return false
	}
	w.land(i, now)
	return false
}

// land ends an item whose tags are now these.
func (w *writer) land(i *item, now []string) {
	r := i.result
	r.After.Tags = setOf(now)
	r.ReadAt = w.c.clock.Now()
	r.Edit = i.edit
	r.Sent = true
	i.finish(r)
}

// settleStrays ends items whose write landed on another run. Where no write of this server ever landed where it was
// sent, or several in a row did not, that is how the server is, and no more is written.
func (w *writer) settleStrays(strays []*item) {
	if len(strays) == 0 {
		return
	}
	refused := w.c.learned.strayed()
	for _, i := range strays {
		err := w.conflict(i, "the write made or changed another run; it may have been deleted at that moment")
		if refused {
			err = w.c.refuseWrites(w.op)
		}
		i.fail(err, true)
	}
}

func (w *writer) conflict(i *item, what string) error {
	return &backend.Error{Kind: backend.Conflict, Op: w.op, Message: fmt.Sprintf(
		"run %q: %s; it is read and planned again", i.result.Before.ID, what)}
}
