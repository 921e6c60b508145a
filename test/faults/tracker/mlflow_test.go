package tracker_test

import (
	"testing"
	"time"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
	"github.com/runtag/runtag/test/faults/facts"
)

// TestMLflowMisbehaviour has no short form: the server alone takes longer to start than the short form may.
func TestMLflowMisbehaviour(t *testing.T) {
	rows := mlflowTable()
	names := map[string]bool{}
	for _, row := range rows {
		if names[row.name] || row.reason == "" {
			t.Errorf("row %q is there twice, or has no reason", row.name)
		}
		names[row.name] = true
	}
	if !facts.Full() {
		t.Skip("it is for the full form")
	}
	server := startMLflow(t)
	suite := controllerstest.Start(t, "../../../config")
	done, storms := 0, stormCount{}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			began := time.Now()
			s := newMLflowScene(t, suite, server, row)
			s.play()
			t.Logf("took %.1f s", time.Since(began).Seconds())
			count, _ := s.front.storm()
			storms.add(count)
			done++
		})
	}
	facts.Record(t, facts.Fact{Part: part, What: "ways in which MLflow misbehaved", Value: float64(done)})
	facts.Record(t, facts.Fact{Part: part, What: "requests that MLflow refused with 429, or 503 and a time", Value: float64(storms.refused)})
	facts.Record(t, facts.Fact{Part: part, What: "requests to MLflow before a Retry-After had passed", Value: float64(storms.early)})
}

func startMLflow(t *testing.T) *mlflowtest.Server {
	t.Helper()
	server, err := mlflowtest.Start(t.Context(), mlflowtest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}
