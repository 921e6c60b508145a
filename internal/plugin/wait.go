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

// seer looks at an object, of which gone says that it was deleted, and says whether it has seen enough.
type seer func(object client.Object, gone bool) (bool, error)

// until lists objects and then watches them, and shows each to see until that has seen enough. The error of a context that
// ends is its cause.
func (s *session) until(ctx context.Context, empty client.ObjectList, options []client.ListOption, see seer) error {
	for {
		list, ok := empty.DeepCopyObject().(client.ObjectList)
		if !ok {
			return fmt.Errorf("watch: %T is no list", empty)
		}
		err := s.listAndWatch(ctx, list, options, s.watcher(empty, options), see)
		switch tooOld := errors.Is(err, watchtools.ErrWatchClosed) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !tooOld:
			return err
		}
	}
}

func (s *session) listAndWatch(ctx context.Context, list client.ObjectList, options []client.ListOption, from cache.WatcherWithContext, see seer) error {
	if err := s.client.List(ctx, list, options...); err != nil {
		return fmt.Errorf("list what is waited for: %w", err)
	}
	if enough, err := seeAll(list, see); enough || err != nil {
		return err
	}
	return s.watch(ctx, list.GetResourceVersion(), from, see)
}

// seeAll shows the objects of a list.
func seeAll(list client.ObjectList, see seer) (enough bool, err error) {
	err = meta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(client.Object)
		if enough || !ok {
			return nil
		}
		var err error
		enough, err = see(object, false)
		return err
	})
	return enough, err
}

// watch shows what changes after a version.
func (s *session) watch(ctx context.Context, version string, from cache.WatcherWithContext, see seer) error {
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, version, from)
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
	return err
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
