package connect_test

import (
	"testing"

	"github.com/runtag/runtag/api/v1alpha1"
)

func TestPlaceOfAProject(t *testing.T) {
	const url = "https://tracker.example/base"
	for _, c := range []struct {
		reason string
		edit   func(*v1alpha1.TrackingProject)
		same   bool
	}{
		{"the same project of another TrackingProject", func(p *v1alpha1.TrackingProject) { p.Name, p.UID = "other", "other" }, true},
		{"the same server, spelt otherwise", func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = "https://TRACKER.example:443/base/" }, true},
		{"another path may be another server", func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = "https://tracker.example/other" }, false},
		{"another project", func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.Project = "other" }, false},
		{"another entity", func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.Entity = "other" }, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w, other := newWorld(t), wandbProject(url)
			c.edit(other)
			one, two := w.open(wandbProject(url)).Place, w.open(other).Place
			if one == "" || (one == two) != c.same {
				t.Errorf("the places are %q and %q, want them the same: %v", one, two, c.same)
			}
		})
	}
	t.Run("MLflow writes tag by tag, so changes don't harm each other", func(t *testing.T) {
		if place := newWorld(t).open(mlflowProject(url, nil)).Place; place != "" {
			t.Errorf("the place is %q, want none", place)
		}
	})
}
