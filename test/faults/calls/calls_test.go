package calls_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// mode is what happens to one call.
type mode string

const (
	fails     mode = "fails"     // with an error, and is not carried out
	conflicts mode = "conflicts" // so: the API server has a newer object
	lost      mode = "lost"      // it is carried out, and its answer is lost
	last      mode = "last"      // it is carried out, and the operator crashes before it has the answer
	first     mode = "first"     // the operator crashes before it is carried out; the next operator makes it first
)

var modes = []mode{fails, conflicts, lost, last, first}

// call is one call of the operator to the API server or the tracker.
type call struct {
	// name is step/verb object#n: the n-th such call in that step of the life.
	name string
	kind kind
}

type kind int

const (
	reads  kind = iota // from the API server or its cache
	makes              // creates or deletes an object
	writes             // a write that names the version that it changes
	asks               // the tracker
)

// suffers says whether a call can meet with something.
func (c call) suffers(m mode) bool {
	switch c.kind {
	case reads: // to lose the answer is to fail, and a crash changes no more than one after the write before
		return m == fails
	case writes:
		return true
	default:
		return m != conflicts
	}
}

// harm is one call and what happens to it; the zero value is none.
type harm struct {
	call string
	mode mode
}

func (h harm) String() string { return h.call + "/" + string(h.mode) }

var (
	errBroken = errors.New("broken for a test")
	errDead   = errors.New("the operator has crashed")
)

// calls names the operator's calls, and does harm to one of them.
type calls struct {
	harm harm

	mu    sync.Mutex
	on    bool // calls are named, and come to harm
	step  string
	count map[string]int
	list  []call
	done  bool // the harm is done
	dead  bool // the operator has crashed: nothing that it does has an effect
	// losing says that the answer to the write that is being carried out is lost.
	losing bool
}

// begin begins a step of the life; an empty one is not looked at.
func (c *calls) begin(step string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on, c.step, c.count = step != "", step, map[string]int{}
}

// crashed says so.
func (c *calls) crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// revive is for the next operator.
func (c *calls) revive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = false
}

// next names a call and says what happens to it; empty: nothing.
func (c *calls) next(k kind, what string) mode {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead:
		return first
	case !c.on:
		return ""
	}
	c.count[what]++
	now := call{name: fmt.Sprintf("%s/%s#%d", c.step, what, c.count[what]), kind: k}
	c.list = append(c.list, now)
	if c.done || now.name != c.harm.call {
		return ""
	}
	c.done = true
	c.dead = c.harm.mode == last || c.harm.mode == first
	return c.harm.mode
}

// made gives the calls so far.
func (c *calls) made() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// before decides about a write to the API server before it is carried out.
func (c *calls) before(w controllerstest.Write) error {
	k := writes
	if w.Created || w.Deleted {
		k = makes
	}
	what := describe(w)
	switch m := c.next(k, what); m {
	case fails:
		return apierrors.NewInternalError(errBroken)
	case first:
		return errDead
	case conflicts:
		resource := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: w.Kind}
		return apierrors.NewConflict(resource, w.Key.Name, errBroken)
	case lost, last:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.losing = true
	}
	return nil
}

// after decides about the answer to a write that was carried out.
func (c *calls) after(controllerstest.Write) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.losing {
		return nil
	}
	c.losing = false
	return apierrors.NewTimeoutError("the answer is lost for a test", 0)
}

func describe(w controllerstest.Write) string {
	verb, part := "patch", ""
	switch {
	case w.Created:
		verb = "create"
	case w.Deleted:
		verb = "delete"
	case w.Status:
		part = " status"
	}
	return fmt.Sprintf("%s %s/%s%s", verb, w.Kind, w.Key.Name, part)
}

// read decides about a read from the API server or its cache. Those of the harness, which does for the operator what
// watches do in a manager, have no deadline and are left alone.
func (c *calls) read(ctx context.Context, verb string, obj any, name string) error {
	if _, limited := ctx.Deadline(); !limited {
		return nil
	}
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", obj), ".")
	what := verb + " " + strings.TrimSuffix(kind, "List")
	if name != "" && kind != "Namespace" { // which has another name in each life
		what += "/" + name
	}
	switch c.next(reads, what) {
	case fails:
		return apierrors.NewInternalError(errBroken)
	case first:
		return errDead
	default:
		return nil
	}
}

// reader is a client whose reads are named.
type reader struct {
	client.Reader
	calls *calls
	live  string // "live " where it reads past the cache
}

// Get reads an object.
func (r reader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if err := r.calls.read(ctx, r.live+"get", obj, key.Name); err != nil {
		return err
	}
	return r.Reader.Get(ctx, key, obj, opts...)
}

// List reads objects.
func (r reader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := r.calls.read(ctx, r.live+"list", list, ""); err != nil {
		return err
	}
	return r.Reader.List(ctx, list, opts...)
}

// cached is the operator's client with named reads.
type cached struct {
	client.Client
	reads reader
}

// Get reads an object from the cache.
func (c cached) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reads.Get(ctx, key, obj, opts...)
}

// List reads objects from the cache.
func (c cached) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reads.List(ctx, list, opts...)
}

// ask lets the tracker do to a request what happens to it.
func (c *calls) ask(t *controllerstest.Tracker, r wandbtest.Request) {
	var fault wandbtest.Fault
	switch c.next(asks, "ask "+r.Operation) {
	case fails:
		fault = wandbtest.Fault{Status: 503, Count: 1}
	case first:
		fault = wandbtest.Fault{Drop: "before"}
	case lost, last:
		fault = wandbtest.Fault{Drop: "after", Count: 1}
	default:
		return
	}
	t.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{fault}})
}
