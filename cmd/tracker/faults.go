package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// faultOptions are the faults that can be asked for by flags; a file can ask for all that there are.
type faultOptions struct {
	file       string
	fault      wandbtest.Fault
	retryAfter string
	rateLimit  string
	all        wandbtest.Faults
}

func (f *faultOptions) add(flags *pflag.FlagSet) {
	flags.DurationVar(&f.fault.Latency.Duration, "latency", 0, "pause before each answer")
	flags.Float64Var(&f.fault.Rate, "fail-rate", 0, "probability that a request fails, 0 to 1")
	flags.IntVar(&f.fault.Every, "fail-every", 0, "fail every n-th request")
	flags.IntVar(&f.fault.Count, "fail-count", 0, "stop failing after so many; 0 never stops")
	flags.StringSliceVar(&f.fault.Operations, "fail-operation", nil, "fail only these operations or fields, such as Runs,upsertBucket,file_stream")
	flags.IntVar(&f.fault.Status, "fail-status", 0, "HTTP status of failures; 503 where nothing else is said")
	flags.StringVar(&f.retryAfter, "fail-retry-after", "", "Retry-After header of failures")
	flags.StringVar(&f.fault.Drop, "fail-drop", "", `drop the connection instead: "before" the request is carried out, "after" it, or in the "middle" of the answer`)
	flags.IntVar(&f.fault.Truncate, "fail-truncate", 0, "end failing answers after so many bytes")
	flags.BoolVar(&f.fault.LoginPage, "fail-login-page", false, "answer with an HTML login page")
	flags.BoolVar(&f.fault.NullViewer, "fail-null-viewer", false, "answer viewer: null")
	flags.DurationVar(&f.fault.ByteDelay.Duration, "fail-byte-delay", 0, "pause before each byte of the answer")
	flags.StringVar(&f.rateLimit, "rate-limit", "", `budget of GraphQL requests, such as "100/1m"; beyond it 429 with Retry-After`)
	flags.Uint64Var(&f.all.Seed, "fail-seed", 1, "seed of --fail-rate")
	flags.IntVar(&f.all.HiddenRows, "hidden-rows", 0, "leave the first so many runs of a project out of lists, whose pages count them")
	flags.IntVar(&f.all.MaxAliases, "max-aliases", 0, "refuse documents with more top-level fields; 0 is no limit")
	flags.StringVar(&f.file, "faults", "", "JSON file with faults, as POST /_runtag/faults takes them, in place of the flags above")
}

// read makes faults of the flags. A latency slows every request; what else is asked for hits those that fail.
func (f *faultOptions) read() (wandbtest.Faults, error) {
	if f.file != "" {
		return readFaults(f.file)
	}
	out := f.all
	if slow := f.fault.Latency; slow.Duration > 0 {
		out.Faults = append(out.Faults, wandbtest.Fault{Latency: slow})
	}
	if fault := f.failure(); !reflect.DeepEqual(fault, wandbtest.Fault{}) {
		out.Faults = append(out.Faults, fault)
	}
	if f.rateLimit != "" {
		limit, err := parseRateLimit(f.rateLimit)
		if err != nil {
			return out, err
		}
		out.RateLimit = limit
	}
	return out, out.Validate()
}

// failure is the fault of the --fail flags; where they say which requests fail but not how, those get a 503.
func (f *faultOptions) failure() wandbtest.Fault {
	fault := f.fault
	fault.Latency = wandbtest.Duration{}
	if f.retryAfter != "" {
		fault.Headers = map[string]string{"Retry-After": f.retryAfter}
	}
	how := fault.Status > 0 || fault.Drop != "" || fault.Truncate > 0 || fault.LoginPage || fault.NullViewer || fault.ByteDelay.Duration > 0
	if !reflect.DeepEqual(fault, wandbtest.Fault{}) && !how {
		fault.Status = http.StatusServiceUnavailable
	}
	return fault
}

func readFaults(file string) (wandbtest.Faults, error) {
	var out wandbtest.Faults
	body, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err == nil {
		err = out.Validate()
	}
	if err != nil {
		return out, fmt.Errorf("--faults %s: %w", file, err)
	}
	return out, nil
}

func parseRateLimit(text string) (*wandbtest.RateLimit, error) {
	requests, per, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(requests)
	window, err2 := time.ParseDuration(per)
	if !ok || err != nil || err2 != nil {
		return nil, fmt.Errorf("--rate-limit %q: write it as requests/time, such as 100/1m", text)
	}
	return &wandbtest.RateLimit{Requests: n, Per: wandbtest.Duration{Duration: window}, RetryAfter: true}, nil
}
