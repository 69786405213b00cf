package wasip1

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// maxSubscriptions bounds what one poll_oneoff may wait for.
const maxSubscriptions = 1 << 16

// subscription is one thing poll_oneoff waits for, and then what came of it.
type subscription struct {
	userdata uint64
	kind     byte
	// d and slot are the descriptor and where it is in pollScratch.fds; slot is
	// negative if it cannot block.
	d     *descriptor
	slot  int
	until time.Time
	// errno is what there is to say about the subscription itself.
	errno Errno
}

// pollScratch is the memory of poll_oneoff.
type pollScratch struct {
	subs  []subscription
	fds   []unix.PollFd
	slots map[int]int // host descriptor → index of fds
}

// release drops what refers to descriptors, and memory that few guests need.
func (p *pollScratch) release() {
	if cap(p.subs) > 256 {
		*p = pollScratch{}
		return
	}
	clear(p.subs)
}

// pollOneoff answers with everything that has happened as soon as anything has.
func pollOneoff(s *System, m memory, a []uint64) Errno {
	n := uint32(a[2])
	if n == 0 || n > maxSubscriptions {
		return ErrnoInval
	}
	in, ok := m.records(uint32(a[0]), n, sizeSubscription)
	if !ok {
		return ErrnoFault
	}
	out, ok := m.records(uint32(a[1]), n, sizeEvent)
	if !ok {
		return ErrnoFault
	}
	if errno := m.putUint32(uint32(a[3]), 0); errno != ErrnoSuccess {
		return errno
	}
	p := &s.scratch.poll
	s.subscribe(p, in) // in is not read any more: out may lie over it
	defer p.release()
	for {
		seen := s.waiter.seen()
		if s.Done() {
			return ErrnoCanceled
		}
		if len(p.fds) > 0 {
			if _, err := pollNow(p.fds); err != nil {
				return fromHost(err)
			}
		}
		if events := s.collect(p, out); events > 0 {
			return m.putUint32(uint32(a[3]), events)
		}
		if err := s.waiter.wait(seen, p.earliest(), p.fds...); err != nil {
			return fromHost(err)
		}
	}
}

func (s *System) subscribe(p *pollScratch, in []byte) {
	p.subs, p.fds = p.subs[:0], p.fds[:0]
	if p.slots == nil {
		p.slots = map[int]int{}
	}
	clear(p.slots)
	now := time.Now()
	le := binary.LittleEndian
	for ; len(in) > 0; in = in[sizeSubscription:] {
		sub := subscription{userdata: le.Uint64(in), kind: in[8], slot: -1}
		switch sub.kind {
		case eventClock:
			flags := le.Uint16(in[40:])
			c := clockSubscription{id: le.Uint32(in[16:]), timeout: le.Uint64(in[24:]), abs: flags&subclockAbstime != 0}
			sub.until, sub.errno = s.deadline(c, now)
			if c.id > clockThreadCPU || flags&^subclockAbstime != 0 {
				sub.errno = ErrnoInval
			}
		case eventFdRead, eventFdWrite:
			s.subscribeFd(p, &sub, le.Uint32(in[16:]))
		default:
			sub.errno = ErrnoInval
		}
		p.subs = append(p.subs, sub)
	}
}

func (s *System) subscribeFd(p *pollScratch, sub *subscription, fd uint32) {
	d := s.table.get(fd)
	access, events := rightFdRead|rightSockAccept, int16(unix.POLLIN)
	if sub.kind == eventFdWrite {
		access, events = rightFdWrite, unix.POLLOUT
	}
	switch {
	case d == nil:
		sub.errno = ErrnoBadf
		return
	case d.dir == nil && d.base&access == 0, d.base&rightPollFdReadwrite == 0:
		sub.errno = ErrnoNotcapable
		return
	}
	if sub.errno = s.opened(d); sub.errno != ErrnoSuccess {
		return
	}
	sub.d = d
	if !d.stream() {
		return
	}
	slot, ok := p.slots[d.fd]
	if !ok {
		slot = len(p.fds)
		p.slots[d.fd] = slot
		p.fds = append(p.fds, unix.PollFd{Fd: int32(d.fd)})
	}
	p.fds[slot].Events |= events
	sub.slot = slot
}

// earliest is when the first clock fires, zero if none does.
func (p *pollScratch) earliest() time.Time {
	var t time.Time
	for i := range p.subs {
		if s := &p.subs[i]; s.kind == eventClock && (t.IsZero() || s.until.Before(t)) {
			t = s.until
		}
	}
	return t
}

// collect writes an event for every subscription that something happened to, and
// returns how many.
func (s *System) collect(p *pollScratch, out []byte) uint32 {
	now := time.Now()
	events := uint32(0)
	for i := range p.subs {
		sub := &p.subs[i]
		var bytes uint64
		var flags uint16
		switch {
		case sub.errno != ErrnoSuccess:
		case sub.kind == eventClock:
			if now.Before(sub.until) {
				continue
			}
		default:
			var ok bool
			if bytes, flags, ok = sub.happened(p); !ok {
				continue
			}
		}
		e := out[events*sizeEvent:][:sizeEvent]
		clear(e)
		binary.LittleEndian.PutUint64(e, sub.userdata)
		binary.LittleEndian.PutUint16(e[8:], uint16(sub.errno))
		e[10] = sub.kind
		binary.LittleEndian.PutUint64(e[16:], bytes)
		binary.LittleEndian.PutUint16(e[24:], flags)
		events++
	}
	return events
}

// happened says whether a descriptor is ready, for how many bytes as far as is
// known, and what else.
func (sub *subscription) happened(p *pollScratch) (bytes uint64, flags uint16, ok bool) {
	d := sub.d
	if sub.slot < 0 {
		if d.fd < 0 && sub.kind == eventFdRead {
			return 0, eventHangup, true
		}
		return d.waiting(sub.kind), 0, true
	}
	got := p.fds[sub.slot].Revents
	want := int16(unix.POLLIN)
	if sub.kind == eventFdWrite {
		want = unix.POLLOUT
	}
	ready := got&want != 0
	// Asked for after poll(2) it may be newer than its answer, which says less then.
	ended := sub.kind == eventFdRead && d.ended.Load()
	if got&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 || ended && !ready {
		flags = eventHangup
	}
	if !ready && flags == 0 {
		return 0, 0, false
	}
	if ready {
		bytes = d.waiting(sub.kind)
	}
	if d.base&rightSockAccept != 0 && ended {
		flags = eventHangup
	}
	return bytes, flags, true
}

// waiting is how many bytes can be read, or written, as far as the host tells.
func (d *descriptor) waiting(kind byte) uint64 {
	switch {
	case kind == eventFdWrite:
		return pipeBuf
	case d.kind == filetypeRegular:
		var st unix.Stat_t
		pos, err := unix.Seek(d.fd, 0, unix.SEEK_CUR)
		if err != nil || unix.Fstat(d.fd, &st) != nil {
			return 0
		}
		return uint64(max(st.Size-pos, 0))
	case !d.stream() || d.base&rightSockAccept != 0:
		return 0
	}
	n, err := unix.IoctlGetInt(d.fd, unix.TIOCINQ)
	if err != nil || n < 0 {
		return 1 // at least, or it would not be ready
	}
	return uint64(n)
}
