package evidence

import (
	"hash/maphash"
	"slices"
)

// record is a pod's place in a Store; the pod in it is replaced as more is seen.
type record struct{ pod *Pod }

// index finds records by keys, of which only hashes are kept: two keys with the same 64 bits would give too much, never too
// little. Most keys have one pod, and those are kept without a list, which halves the room they take.
type index struct {
	seed maphash.Seed
	one  map[uint64]*record
	many map[uint64][]*record
}

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), one: map[uint64]*record{}, many: map[uint64][]*record{}}
}

// kind keeps keys of different meaning apart.
type kind byte

const (
	byKey kind = iota // the caller's
	byNamespace
	byNode
	byOwner
	byWorkload
	byLabel // any value
	byPair
)

func (x *index) hash(k kind, parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	_ = h.WriteByte(byte(k)) // never fails
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

func (x *index) add(key uint64, r *record) {
	if list, ok := x.many[key]; ok {
		x.many[key] = append(list, r)
		return
	}
	first, ok := x.one[key]
	if !ok {
		x.one[key] = r
		return
	}
	delete(x.one, key)
	x.many[key] = []*record{first, r}
}

func (x *index) remove(key uint64, r *record) {
	if x.one[key] == r {
		delete(x.one, key)
		return
	}
	list := x.many[key]
	at := slices.Index(list, r)
	if at < 0 {
		return
	}
	list[at] = list[len(list)-1]
	list[len(list)-1] = nil
	list = list[:len(list)-1]
	if len(list) > 1 {
		x.many[key] = list
		return
	}
	delete(x.many, key)
	x.one[key] = list[0]
}

func (x *index) has(key uint64) bool { return x.one[key] != nil || x.many[key] != nil }

// records gives those of a key; the list is the index's own.
func (x *index) records(key uint64) []*record {
	if r := x.one[key]; r != nil {
		return []*record{r}
	}
	return x.many[key]
}

// pods gives those of some keys.
func (x *index) pods(keys ...uint64) (pods []*Pod) {
	for _, key := range keys {
		for _, r := range x.records(key) {
			pods = append(pods, r.pod)
		}
	}
	return pods
}
