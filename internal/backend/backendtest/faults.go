package backendtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Exchange is one request that a fault answers.
type Exchange struct {
	Writer  http.ResponseWriter
	Request *http.Request
	// Tracker answers as if there were no fault.
	Tracker http.Handler
	// Closing ends with the test.
	Closing <-chan struct{}
}

// Fault answers a request in place of the tracker.
type Fault func(*Exchange)

// Answer answers with a status, headers (given as name, value, name, value…) and a body; the tracker sees nothing.
func Answer(status int, body string, headers ...string) Fault {
	return func(x *Exchange) {
		for i := 0; i+1 < len(headers); i += 2 {
			x.Writer.Header().Set(headers[i], headers[i+1])
		}
		x.Writer.WriteHeader(status)
		_, _ = x.Writer.Write([]byte(body)) // The client may be gone; that is its own affair.
	}
}

// LoginPage answers 200 with the HTML of a login page, as many ingresses do.
func LoginPage() Fault {
	return Answer(http.StatusOK, "<!doctype html><html><title>Sign in</title><form></form></html>", "Content-Type", "text/html; charset=utf-8")
}

// Redirect sends the client to another address.
func Redirect(to string) Fault {
	return Answer(http.StatusFound, "", "Location", to)
}

// Huge answers 200 with a JSON document of about this many bytes.
func Huge(size int) Fault {
	return Answer(http.StatusOK, `{"x":"`+strings.Repeat("x", size)+`"}`, "Content-Type", "application/json")
}

// Hang never answers; the tracker sees nothing.
func Hang() Fault {
	return func(x *Exchange) {
		select {
		case <-x.Request.Context().Done():
		case <-x.Closing:
		}
	}
}

// ResetBefore resets the connection; the tracker sees nothing.
func ResetBefore() Fault {
	return func(x *Exchange) { reset(x.Writer, nil) }
}

// ResetMidway lets the tracker do its work and resets the connection in the middle of its answer.
func ResetMidway() Fault {
	return func(x *Exchange) {
		answer := httptest.NewRecorder()
		x.Tracker.ServeHTTP(answer, x.Request)
		body := answer.Body.Bytes()
		head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			answer.Code, http.StatusText(answer.Code), len(body))
		reset(x.Writer, append([]byte(head), body[:len(body)/2]...))
	}
}

// ResetAfter lets the tracker do its work and resets the connection instead of answering.
func ResetAfter() Fault {
	return func(x *Exchange) {
		x.Tracker.ServeHTTP(httptest.NewRecorder(), x.Request)
		reset(x.Writer, nil)
	}
}

// dripTime is between two bytes of Drip.
const dripTime = 20 * time.Millisecond

// Drip answers with blanks, a byte at a time, without end; the tracker sees nothing.
func Drip() Fault {
	return func(x *Exchange) {
		x.Writer.Header().Set("Content-Type", "application/json")
		flush := http.NewResponseController(x.Writer)
		tick := time.NewTicker(dripTime)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(x.Writer, " "); err != nil || flush.Flush() != nil {
				return // The client went away.
			}
			select {
			case <-tick.C:
			case <-x.Request.Context().Done():
				return
			case <-x.Closing:
				return
			}
		}
	}
}

// Rewrite lets the tracker answer and has the JSON changed before the client sees it. An answer that is no JSON object, or
// no success, goes through as it is.
func Rewrite(change func(answer map[string]any)) Fault {
	return func(x *Exchange) {
		recorded := httptest.NewRecorder()
		x.Tracker.ServeHTTP(recorded, x.Request)
		body := recorded.Body.Bytes()
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err == nil && recorded.Code == http.StatusOK {
			change(answer)
			if body, err = json.Marshal(answer); err != nil {
				panic(err) // It was JSON before.
			}
		}
		Answer(recorded.Code, string(body), "Content-Type", recorded.Header().Get("Content-Type"))(x)
	}
}

// Truncate lets the tracker do its work and answers with the first half of its JSON, as if that were all.
func Truncate() Fault {
	return func(x *Exchange) {
		answer := httptest.NewRecorder()
		x.Tracker.ServeHTTP(answer, x.Request)
		body := answer.Body.String()
		Answer(answer.Code, body[:len(body)/2], "Content-Type", "application/json")(x)
	}
}

// Then lets the tracker answer, and calls the function before the client sees the answer.
func Then(do func()) Fault {
	return func(x *Exchange) {
		answer := httptest.NewRecorder()
		x.Tracker.ServeHTTP(answer, x.Request)
		do()
		Answer(answer.Code, answer.Body.String(), "Content-Type", answer.Header().Get("Content-Type"))(x)
	}
}

// reset writes the start of an answer to the bare connection and resets it.
func reset(w http.ResponseWriter, start []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // The connection is gone already.
	}
	_, _ = conn.Write(start)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Close sends RST rather than FIN.
	}
	_ = conn.Close()
}
