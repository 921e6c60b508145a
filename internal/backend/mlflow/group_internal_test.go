package mlflow

import "testing"

func TestAPanicReachesWhoWaits(t *testing.T) {
	var g group
	ran := false
	g.run(func() { panic("an answer that nobody has thought of") })
	g.run(func() { ran = true })
	defer func() {
		if p := recover(); p == nil || !ran {
			t.Errorf("got panic %v, and the other ran: %v", p, ran)
		}
	}()
	g.wait()
}
