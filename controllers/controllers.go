// Package controllers is the one list of everything that runs in the manager.
package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/runtag/runtag/controllers/tagchange"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trackingproject"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// Options are what the operator is started with.
type Options struct {
	// Addresses says which addresses of trackers may be dialled.
	Addresses *transport.AddressPolicy
	// Ceiling is the highest policy for every project.
	Ceiling tags.Policy
	// ProxyFromEnvironment lets requests to trackers go through HTTP_PROXY and HTTPS_PROXY.
	ProxyFromEnvironment bool
	// WriteTime is for how long from now on trackers may be written to, as the leader may; nil: for ever.
	WriteTime func() time.Duration
	// Namespaces to work in; none for all.
	Namespaces []string
	Clock      clock.WithTicker
	Metrics    *metrics.Metrics
	Version    string
}

// Workers: a pass over a TrainingRun never waits for a tracker, one over a TrackingProject for as long as a
// look takes, and one over a TagChange while it lists runs.
const (
	runWorkers     = 16
	projectWorkers = 32
	changeWorkers  = 8
)

// Add adds everything that runs to the manager.
func Add(ctx context.Context, mgr manager.Manager, o Options) error {
	for _, add := range []func(context.Context, client.FieldIndexer) error{trainingrun.AddIndexes, tagrule.AddIndexes} {
		if err := add(ctx, mgr.GetFieldIndexer()); err != nil {
			return fmt.Errorf("add field indexes: %w", err)
		}
	}
	registry := tracking.NewRegistry(o.Clock, batch.Options{Clock: o.Clock, Log: mgr.GetLogger().WithName("batch")})
	connector := connect.New(connect.Options{
		Secrets: mgr.GetAPIReader(), Policy: o.Addresses, Limiters: transport.NewLimiters(o.Clock), Clock: o.Clock,
		ProxyFromEnvironment: o.ProxyFromEnvironment, WriteTime: o.WriteTime, Observe: o.Metrics.Request, Version: o.Version,
	})
	for _, runnable := range []manager.Runnable{registry, connector} {
		if err := mgr.Add(runnable); err != nil {
			return err
		}
	}
	recorder := mgr.GetEventRecorder("runtag")
	writer := client.WithFieldOwner(mgr.GetClient(), trainingrun.FieldManager)
	runs, projects := &trigger.Trigger{}, &trigger.Trigger{}
	ruleOptions := tagrule.Options{
		Client: writer, Clock: o.Clock, Set: tagrule.NewSet(mgr.GetClient()), Tally: tagrule.NewTally(),
		Rules: &trigger.Trigger{}, ClusterRules: &trigger.Trigger{},
	}
	watch, err := newWatch(ctx, mgr, o)
	if err != nil {
		return err
	}
	run := trainingrun.New(trainingrun.Options{
		Client: writer, Live: mgr.GetAPIReader(), Clock: o.Clock, Recorder: recorder,
		Audit: audit.New(mgr.GetLogger()), Metrics: o.Metrics, Registry: registry,
		Evidence: watch.store, Synced: watch.feeder.Synced, Bound: watch.bound,
		Rules: ruleOptions.Set, Tally: ruleOptions.Tally, Report: ruleOptions.Changed,
		Runs: runs, Projects: projects, Ceiling: o.Ceiling,
	})
	watch.notify(run.Noticed)
	if err := run.SetupWithManager(mgr, runWorkers, watch.feeder.WaitForSync); err != nil {
		return fmt.Errorf("set up the TrainingRun controller: %w", err)
	}
	if err := trackingproject.New(trackingproject.Options{
		Client: writer, Clock: o.Clock, Recorder: recorder, Metrics: o.Metrics, Registry: registry,
		Connector: connector, Runs: runs, Projects: projects,
		Evidence: watch.store, Bound: watch.bound, Rules: ruleOptions.Set, Ceiling: o.Ceiling, Audit: audit.New(mgr.GetLogger()),
	}).SetupWithManager(mgr, projectWorkers, watch.feeder.WaitForSync); err != nil {
		return fmt.Errorf("set up the TrackingProject controller: %w", err)
	}
	changes := &trigger.Trigger{}
	if err := tagchange.New(tagchange.Options{
		Client: writer, Live: mgr.GetAPIReader(), Clock: o.Clock, Recorder: recorder, Audit: audit.New(mgr.GetLogger()),
		Registry: registry, Changes: changes, Runs: runs, Ceiling: o.Ceiling,
	}).SetupWithManager(mgr, changeWorkers, watch.feeder.WaitForSync); err != nil {
		return fmt.Errorf("set up the TagChange controller: %w", err)
	}
	for _, rules := range []*tagrule.Controller{tagrule.ForTagRules(ruleOptions), tagrule.ForClusterTagRules(ruleOptions)} {
		if err := rules.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("set up the controllers of rules: %w", err)
		}
	}
	return nil
}
