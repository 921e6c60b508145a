package tracker_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// loseOneAtWrite deletes a run at the moment when it is written with others.
func loseOneAtWrite(s *scene) {
	const lost = "many-03"
	delete(s.want, lost)
	s.gone[lost] = true
	var once sync.Once
	s.h.Tracker.BeforeRequests(func(r wandbtest.Request) {
		if r.Operation == writes && r.Count > 1 {
			once.Do(func() { s.h.DeleteRuns(lost) })
		}
	})
}

// useAgain deletes a run and makes one under its id, which has from the start what we had taken off the other.
func useAgain(s *scene) {
	s.t.Helper()
	s.h.ExpectEdited(s.idle, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{unique} })
	s.h.Settle()
	s.h.ExpectTagsOn("idle", "human", unique)
	s.h.DeleteRuns("idle")
	s.h.AddRun("idle", "human", "baseline")
	s.want["idle"] = []string{"human", "baseline", "next"}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mayLose["idle"] = []string{unique}
}

// comeAndGo makes a run and deletes another at every request, so that lists shift.
func comeAndGo(s *scene) {
	var mu sync.Mutex
	n := 0
	s.h.Tracker.BeforeRequests(func(r wandbtest.Request) {
		if r.Operation != lists {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		if n%2 == 0 {
			s.h.DeleteRuns(fmt.Sprintf("passing-%d", n-1))
			return
		}
		s.h.AddActiveRun(fmt.Sprintf("passing-%d", n), "foreign")
	})
}

// wrongName moves the project to an address for which the certificate is not.
func wrongName(s *scene) {
	s.t.Helper()
	server := httptest.NewUnstartedServer(s.front)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what this is about
	server.StartTLS()
	s.t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	s.h.ExpectApplied(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.h.Namespace, Name: "ca"}, StringData: map[string]string{"ca.crt": string(ca)},
	})
	s.h.ExpectProjectEdited(s.project, func(p *v1alpha1.TrackingProject) {
		p.Spec.Wandb.BaseURL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
		p.Spec.Wandb.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	})
	s.h.Settle()
	s.h.ExpectWaiting(s.project, v1alpha1.ReasonTrackerUnavailable, "certificate that is not valid")
}

func rightName(s *scene) {
	s.t.Helper()
	s.h.ExpectProjectEdited(s.project, func(p *v1alpha1.TrackingProject) {
		p.Spec.Wandb.BaseURL = strings.Replace(p.Spec.Wandb.BaseURL, "localhost", "127.0.0.1", 1)
	})
}

// editProject does what the condition says where writes landed elsewhere.
func editProject(s *scene) {
	s.t.Helper()
	s.h.ExpectStalled(s.project, v1alpha1.ReasonTrackerUnsupported, "edit the project")
	sent := 0
	for _, r := range s.h.Tracker.Requests() {
		if r.Operation == writes && r.Time.After(s.began) {
			sent++
		}
	}
	if sent > mostStrays {
		s.t.Errorf("%d writes that landed elsewhere, want at most %d", sent, mostStrays)
	}
	s.h.ExpectProjectEdited(s.project, func(p *v1alpha1.TrackingProject) { p.Spec.Interval.Duration += time.Second })
}

// mostStrays is how many writes in a row land elsewhere before no more are sent.
const mostStrays = 3

// hideAlone lets a run be called deleted that is the only one of its project, and hidden: that many vanish at once cannot
// be seen there.
func hideAlone(s *scene) { s.hidden["far"] = true }
