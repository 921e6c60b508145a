package evidence

import (
	"container/heap"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ending is when a pod ended.
type ending struct {
	uid types.UID
	at  time.Time
}

// endings holds the ends of pods, the earliest first.
type endings []ending

func (e *endings) push(p *Pod) { heap.Push((*endingHeap)(e), ending{p.UID, p.EndedAt}) }
func (e *endings) pop()        { heap.Pop((*endingHeap)(e)) }

type endingHeap endings

func (h endingHeap) Len() int           { return len(h) }
func (h endingHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h endingHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *endingHeap) Push(x any) { *h = append(*h, x.(ending)) }

// Pop is for container/heap.
func (h *endingHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
