package tags

// Dialect is what one kind of tracker means by a tag and which tags it takes. The zero Dialect has plain string tags
// of any length.
type Dialect struct {
	// Tracker names the tracker in messages, such as "W&B".
	Tracker string
	// Pairs says that tags are keys with values. Then "k=v" is a pair, and "k" is the bare tag: present with an empty
	// value or "true" in any case.
	Pairs bool
	// MaxKey and MaxValue are the longest key and value in characters; 0 is no limit.
	MaxKey, MaxValue int
	// Hidden says which keys belong to the tracker or to runtag itself: never shown, never touched. Nil hides none.
	Hidden func(key string) bool
	// CheckKey refuses what the tracker would refuse, with an error that says why. Nil refuses nothing.
	CheckKey func(key string) error
}
