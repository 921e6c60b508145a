package plugin

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// until lists objects and then watches them, and shows each to see until that says that it has seen enough. gone says that
// an object was deleted.
func (s *session) until(ctx context.Context, empty client.ObjectList, options []client.ListOption, see func(object client.Object, gone bool) (bool, error)) error {
	for {
		list, ok := empty.DeepCopyObject().(client.ObjectList)
		if !ok {
			return fmt.Errorf("watch: %T is no list", empty)
		}
		if err := s.client.List(ctx, list, options...); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fmt.Errorf("list what is waited for: %w", err)
		}
		enough := false
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if enough || !ok {
				return nil
			}
			var err error
			enough, err = see(object, false)
			return err
		})
		if err != nil || enough {
			return err
		}
		watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), s.watcher(empty, options))
		if err != nil {
			return fmt.Errorf("watch what is waited for: %w", err)
		}
		_, err = watchtools.UntilWithoutRetry(ctx, watcher, func(event watch.Event) (bool, error) {
			object, ok := event.Object.(client.Object)
			if !ok {
				return false, fmt.Errorf("watch what is waited for: %w", apierrors.FromObject(event.Object))
			}
			return see(object, event.Type == watch.Deleted)
		})
		if ctx.Err() == nil && (errors.Is(err, watchtools.ErrWatchClosed) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err)) {
			continue // too old: list anew
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
}

// watcher opens watches of a list.
func (s *session) watcher(empty client.ObjectList, options []client.ListOption) cache.WatcherWithContext {
	return watchFunc(func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
		list, ok := empty.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil, fmt.Errorf("watch: %T is no list", empty)
		}
		all := &client.ListOptions{Raw: &raw}
		all.ApplyOptions(options)
		return s.client.Watch(ctx, list, all)
	})
}

type watchFunc func(context.Context, metav1.ListOptions) (watch.Interface, error)

// WatchWithContext makes the function what client-go watches with.
func (f watchFunc) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return f(ctx, options)
}
