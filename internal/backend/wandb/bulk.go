package wandb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend"
)

// group is runs that get the same tags added and removed.
type group struct {
	adds, removes []string
	items         []*item
}

// modify lets the server add and remove the tags itself, so that nothing that others write meanwhile is lost. It
// returns the items that have to be written as lists instead. modifyRuns is no documented API: at the first answer
// that does not confirm every run, its use ends.
func (w *writer) modify(ctx context.Context, items []*item) ([]*item, error) {
	if len(items) == 0 || w.tooOld(items) {
		return nil, nil
	}
	groups := grouped(items)
	answer, err := w.c.call(ctx, w.op, "modify tags", modifyDocument(len(groups)), w.modifyVariables(groups))
	if err != nil {
		return nil, w.lost(items, err)
	}
	if len(answer.errors) > 0 || answer.refused() {
		return items, w.bulkRefused(answer)
	}
	var rest []*item
	for n, g := range groups {
		confirmed := confirmedBy(answer.data[alias(n)])
		for _, i := range g.items {
			now, told := confirmed[i.result.Before.Handle]
			if !told || !done(i, now) {
				rest = append(rest, i)
				continue
			}
			w.landed = true
			w.land(i, now)
		}
	}
	if len(rest) > 0 {
		w.c.learned.endBulk("the server's answer to modifyRuns did not confirm the tags of every run")
	}
	return rest, nil
}

// bulkRefused judges a refusal of modifyRuns: nil means that the lists are to be written instead.
func (w *writer) bulkRefused(answer reply) error {
	message := fmt.Sprintf("HTTP %d", answer.status)
	if len(answer.errors) > 0 {
		message = answer.errors[0].Message
	}
	err := w.c.classify(w.op, message)
	switch kind := backend.KindOf(err); {
	case strings.Contains(message, invalidPrefix) || tooLarge(answer):
		// A list would be refused as well, and the way of lists finds the run concerned.
	case kind == backend.AccessDenied, kind == backend.RateLimited:
		return err
	default:
		w.c.learned.endBulk("the server refused modifyRuns (" + w.c.clean(message) + ")")
	}
	return nil
}

// grouped puts together the items with the same edit, in the order of their first.
func grouped(items []*item) []*group {
	var groups []*group
	byEdit := make(map[string]*group)
	for _, i := range items {
		adds := slices.Sorted(maps.Keys(i.edit.Set))
		removes := slices.Sorted(slices.Values(i.edit.Remove))
		key := fmt.Sprintf("%q %q", adds, removes)
		g := byEdit[key]
		if g == nil {
			g = &group{adds: adds, removes: removes}
			byEdit[key] = g
			groups = append(groups, g)
		}
		g.items = append(g.items, i)
	}
	return groups
}

func modifyDocument(n int) string {
	var variables, body strings.Builder
	for i := range n {
		fmt.Fprintf(&variables, ",$i%d:[String],$a%d:[String],$r%d:[String]", i, i, i)
		fmt.Fprintf(&body, "\n  %s:modifyRuns(input:{entityName:$entity,projectName:$project,ids:$i%d,addTags:$a%d,removeTags:$r%d}){runs{id tags}}",
			alias(i), i, i, i)
	}
	return "mutation RuntagModify($entity:String,$project:String" + variables.String() + "){" + body.String() + "\n}"
}

func (w *writer) modifyVariables(groups []*group) map[string]any {
	variables := w.c.names()
	for n, g := range groups {
		ids := make([]string, 0, len(g.items))
		for _, i := range g.items {
			ids = append(ids, i.result.Before.Handle)
		}
		variables[fmt.Sprintf("i%d", n)] = ids
		variables[fmt.Sprintf("a%d", n)] = list(g.adds)
		variables[fmt.Sprintf("r%d", n)] = list(g.removes)
	}
	return variables
}

// list makes sure that no tags are sent as [] and not as null.
func list(tags []string) []string {
	if tags == nil {
		return []string{}
	}
	return tags
}

// confirmedBy reads the answer for one group: the tags by storage id. What does not decode confirms nothing.
func confirmedBy(payload json.RawMessage) map[string][]string {
	var p struct {
		Runs []struct {
			ID   string          `json:"id"`
			Tags json.RawMessage `json:"tags"`
		} `json:"runs"`
	}
	if missing(payload) || json.Unmarshal(payload, &p) != nil {
		return nil
	}
	confirmed := make(map[string][]string, len(p.Runs))
	for _, run := range p.Runs {
		if now, err := decodeTags(run.Tags); err == nil {
			confirmed[run.ID] = now
		}
	}
	return confirmed
}

// done says whether the tags of a run now are as the item wants; others may have come and gone meanwhile.
func done(i *item, now []string) bool {
	for tag := range i.edit.Set {
		if !slices.Contains(now, tag) {
			return false
		}
	}
	return !slices.ContainsFunc(i.edit.Remove, func(tag string) bool { return slices.Contains(now, tag) })
}
