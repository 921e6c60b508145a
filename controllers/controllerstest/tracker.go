package controllerstest

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/tags"
)

// The operations of the client of W&B, as the tracker's log names them.
const (
	OpList  = "RuntagRuns" // lists and reads
	OpCheck = "RuntagCheck"
	OpWrite = "RuntagWrite"
)

// Tracker is a W&B server in the process, on the test's clock.
type Tracker struct {
	*wandbtest.Server
	URL    string
	Entity string

	server *httptest.Server
	mu     sync.Mutex
	hook   func(wandbtest.Request)
}

// NewTracker starts one more tracker, which knows the canary alone and has the project ProjectName. It lives until the
// Harness is closed.
func (h *Harness) NewTracker() *Tracker {
	h.t.Helper()
	t := &Tracker{Entity: h.Namespace}
	t.Server = wandbtest.New(wandbtest.WithClock(h.Clock), wandbtest.WithAPIKey(Canary), wandbtest.WithEntity(t.Entity),
		wandbtest.WithHeartbeatTimeout(0), wandbtest.OnRequest(func(r wandbtest.Request) { h.onRequest(t, r) }))
	t.server = httptest.NewServer(t.Server)
	t.URL = t.server.URL
	h.trackers = append(h.trackers, t)
	t.SetFaults(wandbtest.Faults{})
	h.g.Expect(t.AddProject(ProjectName)).To(gomega.Succeed())
	return t
}

// SetFaults replaces what is wrong with the tracker. Its Date header follows the test's clock, as all else does.
func (t *Tracker) SetFaults(f wandbtest.Faults) {
	if f.ClockSkew.Duration == 0 {
		f.ClockSkew.Duration = time.Nanosecond // without any, the header is the machine's
	}
	t.Server.SetFaults(f)
}

// AddProject makes a project without runs.
func (t *Tracker) AddProject(name string) error {
	if _, err := t.Server.AddRun(wandbtest.Run{Project: name, ID: "first"}); err != nil {
		return err
	}
	return t.DeleteRun(t.Entity + "/" + name + "/first")
}

// Path is how the tracker's own methods name a run of the project ProjectName.
func (t *Tracker) Path(id string) string { return t.Entity + "/" + ProjectName + "/" + id }

// BeforeRequests has f called before each request is carried out; nil ends that.
func (t *Tracker) BeforeRequests(f func(wandbtest.Request)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hook = f
}

// Stop closes the port: connections are refused from now on.
func (t *Tracker) Stop() { t.server.Close() }

func (h *Harness) onRequest(t *Tracker, r wandbtest.Request) {
	t.mu.Lock()
	hook := t.hook
	t.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	if r.Operation == OpWrite {
		h.checkWriteAhead(t, r)
	}
}

// checkWriteAhead says what of a write is not covered by a stored status: a tag may be put on only where it is owned, and
// taken off only where its removal is written down, or where it is unwelcome.
func (h *Harness) checkWriteAhead(t *Tracker, r wandbtest.Request) {
	var stored map[string]coverage
	if h.options.OnWrite == nil {
		stored = h.stored()
	}
	for n := range r.Count {
		handle, _ := r.Variables[fmt.Sprintf("i%d", n)].(string)
		raw, err := base64.StdEncoding.DecodeString(handle)
		parts := strings.Split(string(raw), ":")
		if err != nil || len(parts) != 5 {
			h.violated("a write names no run: %q", handle)
			continue
		}
		run, ok := t.Run(parts[4] + "/" + parts[3] + "/" + parts[2])
		if !ok {
			continue // deleted at this moment
		}
		var list []string
		sent, _ := r.Variables[fmt.Sprintf("t%d", n)].([]any)
		for _, tag := range sent {
			list = append(list, fmt.Sprint(tag))
		}
		if h.options.OnWrite != nil {
			h.options.OnWrite(run, list)
			continue
		}
		h.checkCovered(run, list, stored[run.ID])
	}
}

// coverage is what stored TrainingRuns let happen to a run.
type coverage struct {
	owned, leaving []string
	exclusive      bool
}

// stored gives the coverage by run id.
func (h *Harness) stored() map[string]coverage {
	all := map[string]coverage{}
	for _, ns := range h.namespaces {
		var list v1alpha1.TrainingRunList
		if err := h.Admin.List(h.ctx, &list, client.InNamespace(ns)); err != nil {
			h.violated("read what is stored: %v", err)
			return nil
		}
		for i := range list.Items {
			o := &list.Items[i]
			c := all[trainingrun.RunID(o)]
			for _, a := range o.Status.AppliedTags {
				c.owned = append(c.owned, a.Name)
			}
			for _, e := range o.Status.RemovedTags {
				c.leaving = append(c.leaving, e.Name)
			}
			c.leaving = append(c.leaving, o.Spec.ExcludeTags...)
			c.exclusive = c.exclusive || string(o.Spec.TagPolicy) == tags.Exclusive.String()
			all[trainingrun.RunID(o)] = c
		}
	}
	return all
}

func (h *Harness) checkCovered(run wandbtest.Run, list []string, c coverage) {
	for _, tag := range without(list, slices.Concat(run.Tags, c.owned)) {
		h.violated("tag %q is written to run %s, and no stored status owns it (owned: %q)", tag, run.ID, c.owned)
	}
	if c.exclusive {
		return
	}
	for _, tag := range without(run.Tags, slices.Concat(list, c.leaving)) {
		h.violated("tag %q is taken off run %s, and no stored status or spec says so (leaving: %q)", tag, run.ID, c.leaving)
	}
}

// without gives what is in all and not in some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

func (h *Harness) violated(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violations = append(h.violations, fmt.Sprintf(format, args...))
}
