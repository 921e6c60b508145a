package trainingrun

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/kstatus"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// scope is what one pass knows of one object. Phases fill it from the top to the bottom.
type scope struct {
	now    time.Time
	run    *v1alpha1.TrainingRun // as it is going to be
	stored *v1alpha1.TrainingRun // as it was read
	memory *memory

	tracker *tracking.Project
	project *v1alpha1.TrackingProject // read only; the zero one where it was deleted
	id      string                    // the run's id on the tracker; empty while a runName is not found
	view    snapshot.View             // what was last seen of it

	// displaced are other TrainingRuns of the run that have to give way to this one.
	displaced []types.NamespacedName
	// giveWay are imported ones that nobody has touched: they go once their memory is stored with this one. Read only.
	giveWay []*v1alpha1.TrainingRun

	// lists and reading are what annotations and labels of people mean; byAnnotation what annotations declare, or
	// declared last while they can't be read.
	lists        mirror.Lists
	labels       mirror.Input
	reading      mirror.Reading
	byAnnotation []string
	// wiped: the labels were replaced and come back only later; labels and reading are as if they were back.
	wiped bool

	// links are the pods of the run, once linked says that they are known.
	links  []binding.Link
	linked bool
	// facts are what rules found, and what they want.
	facts rules.Change

	// uniqueTrouble says why a unique tag that the object declares is not on its run; uniqueConflict that others declare it.
	uniqueTrouble  []string
	uniqueConflict bool
	// notCarried are unique tags that this plan leaves to the project and that were not on the run.
	notCarried []string

	input   tags.Input
	planned tags.Plan
	hasPlan bool

	seen []v1alpha1.TagHistory // changes on the tracker that we did not make

	state kstatus.State // what the conditions are going to say
	// waiting: nothing can be said before a read of the run, which queues the object again.
	waiting bool
	// releasing: the object is deleted and its tags have to go; released: it has been let go.
	releasing, released bool
	// ignored: a person wants nothing done about this imported object.
	ignored bool
	after   time.Duration // the earliest time that something is due; 0 for never
}

func (c *Controller) newScope(run *v1alpha1.TrainingRun) *scope {
	s := &scope{now: c.Clock.Now(), run: run, stored: run.DeepCopy()}
	var mail []outcome
	s.memory, mail = c.recall(s.key(), run.UID)
	s.take(mail)
	return s
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.run) }

// stop ends the pass with this state.
func (s *scope) stop(st kstatus.State) { s.state = st }

// due asks for another pass after this time at the latest.
func (s *scope) due(after time.Duration) {
	if after <= 0 {
		after = time.Millisecond
	}
	if s.after == 0 || after < s.after {
		s.after = after
	}
}

func (s *scope) result() reconcile.Result {
	priority := trigger.Periodic
	return reconcile.Result{RequeueAfter: s.after, Priority: &priority}
}

// waitingFor is a state in which the operator goes on by itself.
func waitingFor(reason, message string) kstatus.State {
	return kstatus.State{Ready: metav1.ConditionFalse, Reason: reason, Message: message}
}

// stalled is a state in which only a person can help.
func stalled(reason, message string) kstatus.State {
	return kstatus.State{Ready: metav1.ConditionFalse, Reason: reason, Message: message, Stalled: true}
}

// fromHealth repeats what is wrong with the tracker, for an object that has work due.
func fromHealth(project string, h tracking.Health) kstatus.State {
	return waitingFor(h.Reason, "TrackingProject "+project+": "+h.Message)
}
