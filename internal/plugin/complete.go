package plugin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// completionTime is how long a person waits for completions, and completionLimit how many objects are read for them.
const (
	completionTime  = 3 * time.Second
	completionLimit = 500
)

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete sets what completes a flag.
func complete(cmd *cobra.Command, flag string, with completer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err) // there is no such flag, or it is registered twice
	}
}

// offer gives the candidates that begin with what is typed. Without a connection there are none: a shell shows no errors.
func (f *Frame) offer(cmd *cobra.Command, typed string, gather func(context.Context, *session) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	s, err := f.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := gather(ctx, s)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, typed) })
	slices.Sort(all)
	return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
}

func (s *session) someRuns(ctx context.Context) ([]v1alpha1.TrainingRun, error) {
	var list v1alpha1.TrainingRunList
	err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.Limit(completionLimit))
	return list.Items, err
}

func (f *Frame) completeRuns(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return f.offer(cmd, typed, func(ctx context.Context, s *session) ([]string, error) {
		runs, err := s.someRuns(ctx)
		var names []string
		for _, run := range runs {
			names = append(names, run.Name)
			if id := runID(&run); id != "" && typed != "" {
				names = append(names, id)
			}
		}
		return names, err
	})
}

func (f *Frame) completeTags(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return f.offer(cmd, typed, func(ctx context.Context, s *session) ([]string, error) {
		runs, err := s.someRuns(ctx)
		var names []string
		for _, run := range runs {
			for _, t := range run.Status.Tags {
				names = append(names, t.Name)
			}
		}
		return names, err
	})
}

// completeTagThenRun completes a command line of tags and then runs.
func (f *Frame) completeTagThenRun(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return f.completeTags(cmd, args, typed)
	}
	names, directive := f.completeRuns(cmd, args, typed)
	if dash := cmd.ArgsLenAtDash(); dash < 0 || dash == len(args) { // cobra puts a "--" at the end
		tags, _ := f.completeTags(cmd, args, typed)
		names = append(names, tags...)
	}
	return names, directive
}

func (f *Frame) completeProjects(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return f.offer(cmd, typed, func(ctx context.Context, s *session) ([]string, error) {
		var list v1alpha1.TrackingProjectList
		err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.Limit(completionLimit))
		var names []string
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		return names, err
	})
}

func (f *Frame) completeChanges(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return f.offer(cmd, typed, func(ctx context.Context, s *session) ([]string, error) {
		var list v1alpha1.TagChangeList
		err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.Limit(completionLimit))
		var names []string
		for _, c := range list.Items {
			names = append(names, c.Name)
		}
		return names, err
	})
}

func (f *Frame) completeNamespaces(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return f.offer(cmd, typed, func(ctx context.Context, s *session) ([]string, error) {
		var list corev1.NamespaceList
		err := s.client.List(ctx, &list, client.Limit(completionLimit))
		var names []string
		for _, n := range list.Items {
			names = append(names, n.Name)
		}
		return names, err
	})
}

func (f *Frame) completeContexts(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	config, err := f.Config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for name := range config.Contexts {
		if strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
