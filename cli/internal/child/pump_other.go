//go:build !unix

package child

// read passes on what has been printed, all of one read. It returns false at the end. Without wait it does nothing.
func (p *pump) read(wait bool) bool {
	if !wait {
		return false
	}
	buffer := make([]byte, len(p.buffer))
	n, err := p.file.Read(buffer)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(buffer[:n])
	return err == nil
}
