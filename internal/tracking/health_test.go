package tracking_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/tracking"
)

func TestHealthOf(t *testing.T) {
	until := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	of := func(kind backend.Kind) error {
		return &backend.Error{Kind: kind, Op: "list runs", Message: "what happened"}
	}
	const message = "list runs: what happened"
	tests := []struct {
		reason string
		err    error
		want   tracking.Health
		person bool
	}{
		{reason: "no error is health", err: nil, want: tracking.Health{}},
		{
			reason: "a Secret can only be mended by a person", person: true,
			err:  fmt.Errorf("open: %w", &connect.SecretError{Namespace: "team", Secret: "wandb", Message: "does not exist"}),
			want: tracking.Health{Reason: v1alpha1.ReasonSecretNotReady, Message: "open: Secret team/wandb does not exist"},
		},
		{reason: "so can a wrong key", err: of(backend.AccessDenied), person: true, want: tracking.Health{Reason: v1alpha1.ReasonAccessDenied, Message: message}},
		{reason: "and an address that no flag allows", err: of(backend.AddressRefused), person: true, want: tracking.Health{Reason: v1alpha1.ReasonAddressRefused, Message: message}},
		{reason: "and a server that can't do it", err: of(backend.Unsupported), person: true, want: tracking.Health{Reason: v1alpha1.ReasonTrackerUnsupported, Message: message}},
		{
			reason: "a spent budget is waited for until the tracker says",
			err:    fmt.Errorf("look: %w", &backend.Error{Kind: backend.RateLimited, Until: until, Message: "slow down"}),
			want:   tracking.Health{Reason: v1alpha1.ReasonRateLimited, Message: "look: slow down", Until: until},
		},
		{reason: "an outage passes", err: of(backend.Unavailable), want: tracking.Health{Reason: v1alpha1.ReasonTrackerUnavailable, Message: message}},
		{reason: "a conflict is no trouble of the tracker, but one has to wait", err: of(backend.Conflict), want: tracking.Health{Reason: v1alpha1.ReasonTrackerUnavailable, Message: message}},
		{reason: "an error of another kind, such as the API server's, passes too", err: errors.New("etcd is away"), want: tracking.Health{Reason: v1alpha1.ReasonTrackerUnavailable, Message: "etcd is away"}},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			have := tracking.HealthOf(tc.err)
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("HealthOf (-want +have):\n%s", diff)
			}
			if have.OK() != (tc.err == nil) || have.NeedsPerson() != tc.person {
				t.Errorf("OK %t, NeedsPerson %t, want %t, %t", have.OK(), have.NeedsPerson(), tc.err == nil, tc.person)
			}
		})
	}
}

func TestConditionsThatOnlyAPersonEnds(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonSuspended, v1alpha1.ReasonRunsMissing} {
		if !(tracking.Health{Reason: reason}).NeedsPerson() {
			t.Errorf("%s ends by itself, want a person to be needed", reason)
		}
	}
}
