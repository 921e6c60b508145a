package cluster_test

import (
	"testing"
	"time"
)

// Etcd stops for seconds, again and again, while people edit: the API server answers late, or that it has no time left.
func TestSlowEtcd(t *testing.T) {
	fullOnly(t)
	m := startManager(t)
	w := newWorld(t, 10)
	w.expectAll(t)
	t.Cleanup(func() {
		if err := cluster.Plane.ResumeEtcd(); err != nil {
			t.Error(err)
		}
	})
	l := w.load(t)
	const pauses = 5
	for i := range pauses {
		l.goOn(t, 10)
		must(t, cluster.Plane.PauseEtcd())
		<-time.After(time.Duration(1+i) * time.Second) // how slow it is, and no wait for something
		must(t, cluster.Plane.ResumeEtcd())
	}
	l.goOn(t, 10)
	l.end()
	w.expectAll(t)
	must(t, m.Running())
	record(t, "pauses of etcd, of 1 to 5 seconds", pauses)
}
