package controllerstest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Event is one event as it was recorded.
type Event struct {
	Object               string // kind and name
	Type, Reason, Action string
	Note                 string
}

// Events keeps the events; it is an events.EventRecorder.
type Events struct {
	mu   sync.Mutex
	list []Event
}

// Eventf records an event.
func (e *Events) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, args ...any) {
	obj, ok := regarding.(client.Object)
	if !ok {
		panic(fmt.Sprintf("event %s about a %T", reason, regarding)) // a mistake in the controllers
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, Event{
		Object: kindOf(obj) + " " + obj.GetName(), Type: kind, Reason: reason, Action: action, Note: fmt.Sprintf(note, args...),
	})
}

// All gives the events so far.
func (e *Events) All() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event(nil), e.list...)
}

// Log keeps the log lines, in JSON, of all levels.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Logger writes to the log.
func (l *Log) Logger() logr.Logger {
	return funcr.NewJSON(func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line)
	}, funcr.Options{Verbosity: 10})
}

// Text gives the whole log.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// Audit gives the lines of the logger "audit", decoded.
func (l *Log) Audit() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for _, line := range l.lines {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["logger"] == "audit" {
			out = append(out, fields)
		}
	}
	return out
}
