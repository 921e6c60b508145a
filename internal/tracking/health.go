package tracking

import (
	"errors"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/connect"
)

// HealthOf turns an error of a tracker or of opening it into what a condition says. It is the one place that does.
func HealthOf(err error) Health {
	if err == nil {
		return Health{}
	}
	var secret *connect.SecretError
	if errors.As(err, &secret) {
		return Health{Reason: v1alpha1.ReasonSecretNotReady, Message: err.Error()}
	}
	health := Health{Reason: v1alpha1.ReasonTrackerUnavailable, Message: err.Error()}
	switch backend.KindOf(err) {
	case backend.AccessDenied:
		health.Reason = v1alpha1.ReasonAccessDenied
	case backend.AddressRefused:
		health.Reason = v1alpha1.ReasonAddressRefused
	case backend.RateLimited:
		health.Reason = v1alpha1.ReasonRateLimited
		health.Until = untilOf(err)
	case backend.Unsupported:
		health.Reason = v1alpha1.ReasonTrackerUnsupported
	case backend.NotLeading: // which says nothing of the tracker
		health.Reason = v1alpha1.ReasonApplying
	case backend.NotFound, backend.InvalidTag, backend.Unavailable, backend.Conflict:
	}
	return health
}

func untilOf(err error) time.Time {
	var e *backend.Error
	if errors.As(err, &e) {
		return e.Until
	}
	return time.Time{}
}

// NeedsPerson says that nothing but a change by a person helps.
func (h Health) NeedsPerson() bool {
	switch h.Reason {
	case v1alpha1.ReasonAccessDenied, v1alpha1.ReasonAddressRefused, v1alpha1.ReasonTrackerUnsupported,
		v1alpha1.ReasonSecretNotReady, v1alpha1.ReasonSuspended, v1alpha1.ReasonRunsMissing:
		return true
	}
	return false
}
