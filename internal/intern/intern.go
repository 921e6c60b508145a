// Package intern lets equal strings and equal values share their memory: what is decoded object by object has its own
// copy of each.
package intern

import "hash/maphash"

// generation is how many strings, and how many other values, a generation holds.
const generation = 1024

// Interner holds two generations, so what was asked for lately is found, and nothing is kept for ever. It is not safe for
// concurrent use.
type Interner struct {
	seed           maphash.Seed
	texts, old     map[string]string
	shared, before map[uint64]any
}

// New makes an empty one.
func New() *Interner {
	return &Interner{seed: maphash.MakeSeed(), texts: map[string]string{}, shared: map[uint64]any{}}
}

// Text gives a string that is equal to this one, the same each time.
func (in *Interner) Text(s string) string {
	if s == "" {
		return ""
	}
	if same, ok := in.texts[s]; ok {
		return same
	}
	if same, ok := in.old[s]; ok {
		s = same
	}
	if len(in.texts) >= generation {
		in.texts, in.old = map[string]string{}, in.texts
	}
	in.texts[s] = s
	return s
}

// Texts puts shared strings in the place of those in a list, of whatever type of string.
func Texts[T ~string](in *Interner, list []T) {
	for i := range list {
		list[i] = T(in.Text(string(list[i])))
	}
}

// Find gives what was kept under this sum, or nil. Different values may have one sum, so it is to be compared.
func (in *Interner) Find(sum uint64) any {
	if v, ok := in.shared[sum]; ok {
		return v
	}
	v, ok := in.before[sum]
	if ok {
		in.Keep(sum, v)
	}
	return v
}

// Keep keeps a value to be shared, which must not change any more.
func (in *Interner) Keep(sum uint64, v any) {
	if len(in.shared) >= generation {
		in.shared, in.before = map[uint64]any{}, in.shared
	}
	in.shared[sum] = v
}

// Sum gives a sum of strings in this order.
func (in *Interner) Sum(texts ...string) (sum uint64) {
	for _, text := range texts {
		sum = sum*31 + maphash.String(in.seed, text)
	}
	return sum
}

// Sum gives a sum of a value.
func Sum[T comparable](in *Interner, v T) uint64 { return maphash.Comparable(in.seed, v) }
