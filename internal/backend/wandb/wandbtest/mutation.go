package wandbtest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend/metric"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

type mutationRoot struct{ *session }

// Field carries out a mutation.
func (m mutationRoot) Field(name string, args graphql.Args) (any, error) {
	if !m.caller.authorized {
		return nil, graphql.Refuse(http.StatusForbidden, "permission denied")
	}
	do, ok := mutations[name]
	if !ok {
		return nil, fmt.Errorf("no resolver for Mutation.%s", name)
	}
	out, err := do(m, args.Object("input"))
	if err != nil {
		return nil, err
	}
	if id := args.Object("input").String("clientMutationId"); id != "" {
		out["clientMutationId"] = id
	}
	return out, nil
}

var mutations = map[string]func(m mutationRoot, input graphql.Args) (graphql.Values, error){
	"upsertBucket":         mutationRoot.upsertBucket,
	"upsertModel":          mutationRoot.upsertModel,
	"modifyRuns":           mutationRoot.modifyRuns,
	"deleteRun":            mutationRoot.deleteRun,
	"deleteRuns":           mutationRoot.deleteRuns,
	"stopRun":              mutationRoot.stopRun,
	"updateRunState":       mutationRoot.updateRunState,
	"createRunFiles":       mutationRoot.createRunFiles,
	"markRunFilesUploaded": mutationRoot.markRunFilesUploaded,
	"deleteFiles":          mutationRoot.deleteFiles,
}

// upsertBucket makes a run or changes one. By id it only changes; by name it makes the run where there is none.
func (m mutationRoot) upsertBucket(input graphql.Args) (graphql.Values, error) {
	if err := checkBucket(input); err != nil {
		return nil, err
	}
	r, inserted, err := m.bucket(input)
	if err != nil {
		return nil, err
	}
	if inserted {
		r.User = m.caller.user
	} else if input.Has("jobProgram") && !r.alive() {
		m.store.started(r) // only a process that trains names its program: it has taken the run up again
	}
	m.describe(r, input)
	if tags := input.Strings("tags"); tags != nil && !m.faults.set.IgnoreTags {
		if err := m.store.setTags(r, tags); err != nil {
			return nil, err
		}
	}
	m.store.touch(r)
	return graphql.Values{"bucket": runNode{m.session, r}, "inserted": inserted, "updateAvailable": false}, nil
}

// checkBucket refuses an input before anything of it is stored.
func checkBucket(input graphql.Args) error {
	for _, key := range []string{"config", "summaryMetrics"} {
		var object map[string]any
		if input.Has(key) && json.Unmarshal(metric.Quote([]byte(input.String(key))), &object) != nil {
			return graphql.Refuse(http.StatusBadRequest, "%s is not a JSON object", key)
		}
	}
	if state := input.String("state"); state != "" && !slices.Contains(states, state) {
		return graphql.Refuse(http.StatusBadRequest, "invalid state %q", state)
	}
	if strings.ContainsAny(input.String("name"), ":;,#?/'") {
		return graphql.Refuse(http.StatusBadRequest, "invalid run name %q: must not contain any of :;,#?/'", input.String("name"))
	}
	_, err := cleanTags(input.Strings("tags"))
	return err
}

// bucket finds the run that the input means, or makes it.
func (m mutationRoot) bucket(input graphql.Args) (r *record, inserted bool, err error) {
	if input.Has("id") {
		r, err := m.store.byStorageID(input.String("id"))
		switch {
		case err != nil || m.faults.set.UpsertByID == "":
			return r, false, err
		case m.faults.set.UpsertByID == upsertInserts:
			p := m.store.project(r.Entity, r.Project)
			return m.store.create(p, rand.Text()[:8], m.store.now()), true, nil
		default:
			p := m.store.project(r.Entity, r.Project)
			other := slices.IndexFunc(p.Runs, func(other *record) bool { return other != r })
			if other < 0 {
				return m.store.create(p, rand.Text()[:8], m.store.now()), false, nil
			}
			return p.Runs[other], false, nil
		}
	}
	p, _ := m.store.ensureProject(cmp.Or(input.String("entityName"), m.server.entity), cmp.Or(input.String("modelName"), "uncategorized"))
	name := cmp.Or(input.String("name"), strings.ToLower(rand.Text()[:8]))
	if r := m.store.settled(p.byID[name]); r != nil {
		return r, false, nil
	}
	return m.store.create(p, name, m.store.now()), true, nil
}

// describe sets what the input names; what is null or absent is left alone.
func (m mutationRoot) describe(r *record, input graphql.Args) {
	for key, field := range map[string]*string{
		"displayName": &r.DisplayName, "notes": &r.Notes, "description": &r.Description, "groupName": &r.Group,
		"jobType": &r.JobType, "host": &r.Host, "commit": &r.Commit, "state": &r.State,
	} {
		if input.Has(key) {
			*field = input.String(key)
		}
	}
	if input.Has("config") {
		r.Config = decodeRow(input.String("config"))
	}
	if input.Has("summaryMetrics") {
		r.Summary = decodeRow(input.String("summaryMetrics"))
	}
}

func (m mutationRoot) upsertModel(input graphql.Args) (graphql.Values, error) {
	p, inserted := m.store.ensureProject(cmp.Or(input.String("entityName"), m.server.entity), input.String("name"))
	node := projectNode{m.session, p}
	return graphql.Values{"project": node, "model": node, "inserted": inserted}, nil
}

// modifyRuns adds and removes tags on the server's side, of runs named by storage id or by their own ids.
func (m mutationRoot) modifyRuns(input graphql.Args) (graphql.Values, error) {
	p := m.store.project(cmp.Or(input.String("entityName"), m.server.entity), input.String("projectName"))
	if p == nil {
		return nil, graphql.Refuse(http.StatusNotFound, "could not find project %s", input.String("projectName"))
	}
	runs, err := m.named(projectNode{m.session, p}, input)
	if err != nil {
		return nil, err
	}
	out := []graphql.Object{}
	for _, r := range runs {
		if !m.faults.set.IgnoreTags {
			if err := m.store.editTags(r, input.Strings("addTags"), input.Strings("removeTags")); err != nil {
				return nil, err
			}
		}
		out = append(out, runNode{m.session, r})
	}
	return graphql.Values{"runs": out, "runsSQL": out}, nil
}

func (m mutationRoot) named(p projectNode, input graphql.Args) ([]*record, error) {
	ids := input.Strings("ids")
	if ids == nil && !input.Has("filters") {
		return nil, graphql.Refuse(http.StatusBadRequest, "either ids or filters must be given")
	}
	matching, err := p.matching(input.String("filters"), nil)
	if err != nil || ids == nil {
		return matching, err
	}
	return slices.DeleteFunc(matching, func(r *record) bool {
		return !slices.Contains(ids, r.ID) && !slices.Contains(ids, r.StorageID)
	}), nil
}

func (m mutationRoot) deleteRun(input graphql.Args) (graphql.Values, error) {
	r, err := m.store.byStorageID(input.String("id"))
	if err != nil {
		return nil, err
	}
	m.store.remove(r)
	return graphql.Values{}, nil
}

func (m mutationRoot) deleteRuns(input graphql.Args) (graphql.Values, error) {
	p := m.store.project(input.String("entityName"), input.String("projectName"))
	if p == nil {
		return nil, graphql.Refuse(http.StatusNotFound, "could not find project %s", input.String("projectName"))
	}
	runs, err := projectNode{m.session, p}.matching(input.String("filters"), nil)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		m.store.remove(r)
	}
	return graphql.Values{"errors": []string{}}, nil
}

// stopRun asks a run to stop: its process learns of it with the next file_stream answer. A run that has none yet is
// killed at once.
func (m mutationRoot) stopRun(input graphql.Args) (graphql.Values, error) {
	r, err := m.store.byStorageID(input.String("id"))
	if err != nil {
		return nil, err
	}
	switch {
	case r.alive():
		r.Stopped = true
	case r.State == statePending:
		r.Stopped, r.State = true, stateKilled
	}
	m.store.touch(r)
	return graphql.Values{"success": true}, nil
}

// transitions are the changes of state that updateRunState makes, by where they lead.
var transitions = map[string][]string{
	statePending: {stateRunning, stateFailed, stateCrashed, statePreempted},
	stateFailed:  {statePending, stateRunning},
}

func (m mutationRoot) updateRunState(input graphql.Args) (graphql.Values, error) {
	r, err := m.store.byStorageID(input.String("id"))
	if err != nil {
		return nil, err
	}
	to := input.String("state")
	if !slices.Contains(transitions[to], r.State) {
		return nil, graphql.Refuse(http.StatusBadRequest, "cannot change the state of a run from %s to %s", r.State, to)
	}
	r.State = to
	m.store.touch(r)
	return graphql.Values{"success": true}, nil
}
