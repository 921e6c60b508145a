package trainingrun_test

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// walkClient is below the harness's client. It tells the walk of each version that the operator stores, loses answers, and
// gives the time of a deletion by the walk's clock.
type walkClient struct {
	client.Client
	stored func(*v1alpha1.TrainingRun)
	// deletedAt says by the walk's clock when an object was deleted: what is due after a deletion would be due at once
	// by the API server's clock, which stands still in comparison.
	deletedAt map[types.UID]time.Time
	// lose the answer to the next write of a TrainingRun.
	lose bool
}

var (
	errLost   = errors.New("the answer to a write that was carried out is lost")
	errBroken = errors.New("the API server is broken")
)

// Get reads an object.
func (c *walkClient) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if err := c.Client.Get(ctx, key, obj, opts...); err != nil {
		return err
	}
	c.shift(obj)
	return nil
}

func (c *walkClient) shift(obj client.Object) {
	if at, ok := c.deletedAt[obj.GetUID()]; ok && obj.GetDeletionTimestamp() != nil {
		obj.SetDeletionTimestamp(&metav1.Time{Time: at})
	}
}

// Patch writes an object.
func (c *walkClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return c.answer(obj, c.Client.Patch(ctx, obj, patch, opts...))
}

// Status writes statuses.
func (c *walkClient) Status() client.SubResourceWriter {
	return &walkStatus{SubResourceWriter: c.Client.Status(), c: c}
}

type walkStatus struct {
	client.SubResourceWriter
	c *walkClient
}

// Patch writes a status.
func (s *walkStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return s.c.answer(obj, s.SubResourceWriter.Patch(ctx, obj, patch, opts...))
}

// answer is what the operator learns of its write.
func (c *walkClient) answer(obj client.Object, err error) error {
	run, ok := obj.(*v1alpha1.TrainingRun)
	if err != nil || !ok {
		return err
	}
	c.shift(run)
	c.stored(run.DeepCopy())
	if c.lose {
		c.lose = false
		return apierrors.NewInternalError(errLost)
	}
	return nil
}

func conflict(name string) error {
	resource := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "trainingruns"}
	return apierrors.NewConflict(resource, name, errors.New("somebody else was faster"))
}
