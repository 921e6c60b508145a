package trainingrun_test

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// walkClient is below the harness's client. It tells the walk of each version that the operator stores, and loses answers.
type walkClient struct {
	client.Client
	// stored is told of a version of an object, and of the one that it was made from.
	stored func(run *v1alpha1.TrainingRun, from string)
	// lose the answer to the next write of a TrainingRun.
	lose bool
}

var (
	errLost   = errors.New("the answer to a write that was carried out is lost")
	errBroken = errors.New("the API server is broken")
)

// Patch writes an object.
func (c *walkClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	from := obj.GetResourceVersion()
	return c.answer(obj, from, c.Client.Patch(ctx, obj, patch, opts...))
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
	from := obj.GetResourceVersion()
	return s.c.answer(obj, from, s.SubResourceWriter.Patch(ctx, obj, patch, opts...))
}

// answer is what the operator learns of its write.
func (c *walkClient) answer(obj client.Object, from string, err error) error {
	run, ok := obj.(*v1alpha1.TrainingRun)
	if err != nil || !ok {
		return err
	}
	c.stored(run.DeepCopy(), from)
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
