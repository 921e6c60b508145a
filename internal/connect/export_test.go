package connect

// Kept is the number of projects in memory.
func (c *Connector) Kept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.projects)
}
