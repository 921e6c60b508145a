package e2e_test

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// The canaries are the credentials that the manager has. They must show up nowhere.
var (
	canaryKey      = "canary" + strings.Repeat("4f1d", 9) // of W&B, where keys have 40 characters and more
	canaryPassword = "canary-pass-" + strings.Repeat("7b", 8)
)

// tracker is one of the two, as people and training scripts use it.
type tracker interface {
	name() string
	// start starts it below a directory, stop ends it.
	start(ctx context.Context, dir string)
	stop()
	// secret is what the manager logs in with, spec where it finds the project.
	secret() *corev1.Secret
	spec(project string) v1alpha1.TrackingProjectSpec
	newProject(ctx context.Context, project string)

	// train has a script of the real client begin a run, and gives its id. It goes on until finish.
	train(ctx context.Context, project, displayName string, tags ...string) string
	finish(ctx context.Context, run runRef)
	// trainIn has a process of its own, as in the pod, begin a run, with changes that only one of the clients knows.
	trainIn(ctx context.Context, s *scene, pod *corev1.Pod, changes map[string]any) (runRef, *worker)
	// scriptAdds is the script itself tagging its run; it may take the client some seconds to send it.
	scriptAdds(ctx context.Context, run runRef, tags ...string)
	// logLoss is a step of a training loop, which tags its run release_candidate once the loss is low.
	logLoss(ctx context.Context, run runRef, loss float64)
	// apiAppends is somebody adding tags with the client's public API, whatever the run's state.
	apiAppends(ctx context.Context, run runRef, tags ...string)
	// people's edits with the real client: they add and take off tags, and delete the run.
	add(ctx context.Context, run runRef, tags ...string)
	remove(ctx context.Context, run runRef, tags ...string)
	delete(ctx context.Context, run runRef)
	// many makes n runs of a project that have ended or not, all with the tags, without the real client.
	many(ctx context.Context, project string, n int, tags ...string) []string

	// tags are those on the run as the server has them, sorted; read gives them by the real client.
	tags(ctx context.Context, run runRef) []string
	read(ctx context.Context, run runRef) []string
	// tagsOfAll are the tags of all runs of a project by their ids, at once.
	tagsOfAll(ctx context.Context, project string) map[string][]string

	// revoke takes the manager's credential back until restore.
	revoke() (restore func())
	// traffic is what the manager sends.
	traffic() *traffic
}

// runRef names a run on a tracker.
type runRef struct{ project, id string }
