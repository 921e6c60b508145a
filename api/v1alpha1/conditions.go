package v1alpha1

// The condition types, which follow kstatus: Ready says whether the object is as declared, Reconciling is there only
// while work is due, Stalled only where nothing but a change by a person helps.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
	// ConditionLinked of a TrainingRun says whether pods of its run are known. Ready does not depend on it.
	ConditionLinked = "Linked"
)

// Reasons of a TrainingRun's conditions.
const (
	// ReasonSynced: the tags on the run are what is declared.
	ReasonSynced = "Synced"
	// ReasonApplying: a change is written down and on its way to the tracker.
	ReasonApplying = "Applying"
	// ReasonRunNotFound: there is no such run yet; its tags land when it appears.
	ReasonRunNotFound = "RunNotFound"
	// ReasonRunDeleted: the run was there and is gone.
	ReasonRunDeleted = "RunDeleted"
	// ReasonProjectNotReady: the TrackingProject is missing or its tracker can't be used.
	ReasonProjectNotReady = "ProjectNotReady"
	// ReasonInvalidTags: the tracker does not take some of the declared tags.
	ReasonInvalidTags = "InvalidTags"
	// ReasonValueConflict: the run has another value for a key, and the policy does not allow to replace it.
	ReasonValueConflict = "ValueConflict"
	// ReasonNotAllowed: the project's or the operator's ceiling holds back declared tags.
	ReasonNotAllowed = "NotAllowed"
	// ReasonContested: somebody else takes a declared tag off again and again.
	ReasonContested = "Contested"
	// ReasonUnknownSource: a source of declarations can't be read, so nothing it declared is taken off.
	ReasonUnknownSource = "UnknownSource"
	// ReasonDuplicateRun: another TrainingRun of the namespace stands for the same run.
	ReasonDuplicateRun = "DuplicateRun"
	// ReasonAmbiguousRun: several runs have this name.
	ReasonAmbiguousRun = "AmbiguousRun"
	// ReasonTagConflict: several TrainingRuns declare a tag that at most one run of the project may carry.
	ReasonTagConflict = "TagConflict"
	// ReasonSuspended: the project is suspended; nothing is sent to the tracker.
	ReasonSuspended = "Suspended"
)

// Reasons of a TrackingProject's conditions; a TrainingRun repeats them only while it has work due.
const (
	// ReasonLooking: the tracker answers and is looked at as often as asked.
	ReasonLooking = "Looking"
	// ReasonAccessDenied: the credential is wrong, the project is hidden or gone, or a login page is in the way.
	ReasonAccessDenied = "AccessDenied"
	// ReasonAddressRefused: the operator is not allowed to connect to the tracker's address.
	ReasonAddressRefused = "AddressRefused"
	// ReasonRateLimited: the tracker asked us to wait.
	ReasonRateLimited = "RateLimited"
	// ReasonTrackerUnavailable: the tracker does not answer as it should.
	ReasonTrackerUnavailable = "TrackerUnavailable"
	// ReasonTrackerUnsupported: the tracker's server can't do what runtag needs.
	ReasonTrackerUnsupported = "TrackerUnsupported"
	// ReasonPollingSlow: looks take longer than the interval, which is stretched.
	ReasonPollingSlow = "PollingSlow"
	// ReasonRunsMissing: many runs vanished at once, or some after a change of address or credential; none is called deleted.
	ReasonRunsMissing = "RunsMissing"
	// ReasonImportLimited: more runs qualify for import than import.limit allows.
	ReasonImportLimited = "ImportLimited"
	// ReasonTagMoving: a unique tag can't move to the run that should have it.
	ReasonTagMoving = "TagMoving"
	// ReasonSecretNotReady: the Secret is missing, lacks its key or is bound to another host.
	ReasonSecretNotReady = "SecretNotReady"
)

// Reasons of a TrainingRun's condition Linked.
const (
	// ReasonPodsFound: at least one pod of the run is known.
	ReasonPodsFound = "PodsFound"
	// ReasonNoPods: the run is active, and no pod of it is known.
	ReasonNoPods = "NoPods"
	// ReasonAmbiguousPods: several pods fit, and nothing tells them apart.
	ReasonAmbiguousPods = "AmbiguousPods"
)

// Reasons of a rule's conditions.
const (
	// ReasonCompiled: the expressions are valid and evaluated.
	ReasonCompiled = "Compiled"
	// ReasonInvalidExpression: an expression does not compile, or costs too much.
	ReasonInvalidExpression = "InvalidExpression"
	// ReasonInvalidSelector: a selector can't be read.
	ReasonInvalidSelector = "InvalidSelector"
	// ReasonRetracting: the rule is being taken back from runs.
	ReasonRetracting = "Retracting"
	// ReasonRetracted: nothing of the rule is left on any TrainingRun.
	ReasonRetracted = "Retracted"
)

// ConditionComplete of a TagChange is True once it is done, for good or ill.
const ConditionComplete = "Complete"

// Reasons of a TagChange's conditions; those of a TrackingProject are repeated while it waits for the tracker.
const (
	// ReasonListing: the runs that match are being listed.
	ReasonListing = "Listing"
	// ReasonCounted: runs are counted, and nothing is changed before spec.apply is true.
	ReasonCounted = "Counted"
	// ReasonWaitingForTurn: another TagChange of the project is under way.
	ReasonWaitingForTurn = "WaitingForTurn"
	// ReasonChanging: runs are being changed.
	ReasonChanging = "Changing"
	// ReasonChanged: all is done.
	ReasonChanged = "Changed"
	// ReasonQueried: the runs that match are in the ConfigMaps of status.matches.
	ReasonQueried = "Queried"
	// ReasonTooManyRuns: more runs match than spec.maxRuns; nothing was done.
	ReasonTooManyRuns = "TooManyRuns"
	// ReasonUniqueTag: a tag of the project's uniqueTags can't be added in bulk.
	ReasonUniqueTag = "UniqueTag"
	// ReasonUndoMissing: what undoOf names is not there, or not done, or its ConfigMaps are gone.
	ReasonUndoMissing = "UndoMissing"
	// ReasonConfigMapTaken: a ConfigMap with the name of one that is to be written is there and is not of the TagChange.
	ReasonConfigMapTaken = "ConfigMapTaken"
)

// Annotations that people set.
const (
	// AnnotationLookAt asks for a look at the tracker now, whenever its value changes.
	AnnotationLookAt = "tracking.runtag.dev/look-at"
	// AnnotationAcceptMissing, set to a TrackingProject's generation, confirms that runs that are missing are really gone.
	AnnotationAcceptMissing = "tracking.runtag.dev/accept-missing"
)

// Finalizer keeps a TrainingRun with deletionPolicy RemoveTags until its tags are off the run.
const Finalizer = "tracking.runtag.dev/remove-tags"

// SecretKeyHost is the optional key of a Secret that binds its credential to one tracker host.
const SecretKeyHost = "host"
