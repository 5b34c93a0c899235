// The rows of the comparison, as Go runs them. See ../fairlead.cpp.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func perOperation(n int, f func(n int)) float64 {
	f(n / 10)
	start := time.Now()
	f(n)
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

func yield2(n int) {
	var group sync.WaitGroup
	for i := 0; i < 2; i++ {
		group.Add(1)
		go func() {
			for k := 0; k < n/2; k++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
}

func roundTrips(n int) {
	ask := make(chan int)
	answer := make(chan int)
	go func() {
		for value := range ask {
			answer <- value
		}
	}()
	for i := 0; i < n; i++ {
		ask <- i
		<-answer
	}
	close(ask)
}

func lockedServer(n int) {
	ask := make(chan int)
	answer := make(chan int)
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		for value := range ask {
			answer <- value
		}
		runtime.UnlockOSThread()
		done <- true
	}()
	for i := 0; i < n; i++ {
		ask <- i
		<-answer
	}
	close(ask)
	<-done
}

func buffered22(n int) {
	values := make(chan int, 100)
	var producers, consumers sync.WaitGroup
	for i := 0; i < 2; i++ {
		producers.Add(1)
		go func() {
			for k := 0; k < n/2; k++ {
				values <- k
			}
			producers.Done()
		}()
		consumers.Add(1)
		go func() {
			for range values {
			}
			consumers.Done()
		}()
	}
	producers.Wait()
	close(values)
	consumers.Wait()
}

func select2(n int) {
	a := make(chan int, 1)
	b := make(chan int, 1)
	a <- 1
	for i := 0; i < n; i++ {
		select {
		case v := <-a:
			b <- v
		case v := <-b:
			a <- v
		}
	}
}

func spawnJoin(n int) {
	for i := 0; i < n; i++ {
		var group sync.WaitGroup
		group.Add(1)
		go func() { group.Done() }()
		group.Wait()
	}
}

func spawn1000(n int) {
	for i := 0; i < n; i += 1000 {
		var group sync.WaitGroup
		for k := 0; k < 1000; k++ {
			group.Add(1)
			go func() { group.Done() }()
		}
		group.Wait()
	}
}

func link(n int, done chan bool) {
	if n == 0 {
		done <- true
		return
	}
	go link(n-1, done)
}

func chain(n int) {
	done := make(chan bool)
	go link(n, done)
	<-done
}

func mutex4(n int) {
	var mutex sync.Mutex
	guarded := 0
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			for k := 0; k < n/4; k++ {
				mutex.Lock()
				guarded++
				mutex.Unlock()
			}
			group.Done()
		}()
	}
	group.Wait()
}

func lockUnlock(n int) {
	for i := 0; i < n; i++ {
		runtime.LockOSThread()
		runtime.UnlockOSThread()
	}
}

func skynet(up chan int64, number, size int64) {
	if size == 1 {
		up <- number
		return
	}
	below := make(chan int64)
	for i := int64(0); i < 10; i++ {
		go skynet(below, number+i*(size/10), size/10)
	}
	var sum int64
	for i := 0; i < 10; i++ {
		sum += <-below
	}
	up <- sum
}

func skynetMillion() float64 {
	start := time.Now()
	result := make(chan int64)
	go skynet(result, 0, 1000000)
	if <-result != 499999500000 {
		return -1
	}
	return float64(time.Since(start).Nanoseconds())
}

func sleepers() float64 {
	run := func() {
		var group sync.WaitGroup
		for i := 0; i < 100000; i++ {
			group.Add(1)
			go func() {
				time.Sleep(10 * time.Millisecond)
				group.Done()
			}()
		}
		group.Wait()
	}
	run()
	start := time.Now()
	run()
	return float64(time.Since(start).Nanoseconds())
}

func seed(lock bool) {
	const spinners, producers, count = 50000, 20, 3000000
	var ran, turns atomic.Int32
	values := make(chan struct{}, 100000)
	for i := 0; i < spinners; i++ {
		go func() {
			first := true
			n := 0
			for {
				n++
				if n >= 100000 {
					n = 0
					if first {
						ran.Add(1)
						first = false
					}
					turns.Add(1)
					runtime.Gosched()
				}
			}
		}()
	}
	for ran.Load() < spinners {
		runtime.Gosched()
	}
	for i := 0; i < producers; i++ {
		go func() {
			for {
				values <- struct{}{}
			}
		}()
	}
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		before := turns.Load()
		start := time.Now()
		for i := 0; i < count; i++ {
			<-values
		}
		took := time.Since(start)
		meanwhile := turns.Load() - before
		if lock {
			runtime.UnlockOSThread()
		}
		fmt.Printf("%d\n# %d turns of spinners\n", took.Nanoseconds(), meanwhile)
		os.Exit(0)
	}()
	select {}
}

func echo() float64 {
	const connections, requests, size = 64, 2000, 512
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				buffer := make([]byte, size)
				for {
					if _, err := io.ReadFull(connection, buffer); err != nil {
						connection.Close()
						return
					}
					connection.Write(buffer)
				}
			}()
		}
	}()
	start := time.Now()
	var clients sync.WaitGroup
	for i := 0; i < connections; i++ {
		clients.Add(1)
		go func() {
			connection, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				panic(err)
			}
			buffer := make([]byte, size)
			for k := 0; k < requests; k++ {
				connection.Write(buffer)
				io.ReadFull(connection, buffer)
			}
			connection.Close()
			clients.Done()
		}()
	}
	clients.Wait()
	return float64(time.Since(start).Nanoseconds()) / (connections * requests)
}

// What follows needs two Ps; with one there is no figure.

func spinFor(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func sleepInKernel(d time.Duration) {
	span := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&span, nil)
}

func wakeup(delay func(time.Duration)) float64 {
	const iterations = 5000
	const pause, work = 10 * time.Microsecond, 5 * time.Microsecond
	if runtime.GOMAXPROCS(0) < 2 {
		return 0
	}
	ping := make(chan int)
	pong := make(chan int)
	go func() {
		for i := 0; i < iterations; i++ {
			delay(pause)
			<-ping
			delay(pause + work)
			pong <- i
		}
	}()
	start := time.Now()
	for i := 0; i < iterations; i++ {
		delay(pause + work)
		ping <- i
		delay(pause)
		<-pong
	}
	return float64(time.Since(start).Nanoseconds())/iterations - float64(2*(pause+work).Nanoseconds())
}

func timerLatency() float64 {
	const rounds = 300
	timers := runtime.GOMAXPROCS(0) - 1
	if timers < 1 {
		return 0
	}
	var late int64
	for round := 0; round < rounds; round++ {
		var begun int32
		var group sync.WaitGroup
		group.Add(timers)
		due := time.Now().Add(time.Millisecond)
		for i := 0; i < timers; i++ {
			time.AfterFunc(time.Millisecond, func() {
				atomic.AddInt64(&late, time.Since(due).Nanoseconds())
				atomic.AddInt32(&begun, 1)
				for atomic.LoadInt32(&begun) < int32(timers) {
				}
				group.Done()
			})
		}
		for atomic.LoadInt32(&begun) < int32(timers) {
		}
		group.Wait()
		spinFor(time.Millisecond)
	}
	return float64(late) / float64(rounds*timers)
}

func tickerLatency() float64 {
	const period = 3 * time.Millisecond
	const ticks = 200
	tickers := runtime.GOMAXPROCS(0)
	if tickers < 2 {
		return 0
	}
	var late int64
	var group sync.WaitGroup
	for i := 0; i < tickers; i++ {
		spinFor(period / time.Duration(tickers))
		group.Add(1)
		go func() {
			begun := time.Now()
			ticker := time.NewTicker(period)
			for k := 0; k < ticks; k++ {
				<-ticker.C
				atomic.AddInt64(&late, (time.Since(begun) % period).Nanoseconds())
				spinFor(300 * time.Microsecond)
			}
			ticker.Stop()
			group.Done()
		}()
	}
	group.Wait()
	return float64(late) / float64(ticks*tickers)
}

func main() {
	each := func(n int, f func(int)) func() float64 {
		return func() float64 { return perOperation(n, f) }
	}
	rows := map[string]func() float64{
		"yield":       each(4000000, yield2),
		"round-trip":  each(500000, roundTrips),
		"buffered":    each(4000000, buffered22),
		"select":      each(4000000, select2),
		"spawn-join":  each(500000, spawnJoin),
		"spawn-1000":  each(1000000, spawn1000),
		"chain":       each(1000000, chain),
		"mutex":       each(8000000, mutex4),
		"lock-unlock": each(20000000, lockUnlock),
		"locked-main": func() float64 {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			return perOperation(50000, roundTrips)
		},
		"locked-server":  each(50000, lockedServer),
		"skynet":         skynetMillion,
		"sleepers":       sleepers,
		"echo":           echo,
		"wakeup":         func() float64 { return wakeup(spinFor) },
		"wakeup-syscall": func() float64 { return wakeup(sleepInKernel) },
		"timer-latency":  timerLatency,
		"ticker-latency": tickerLatency,
		"seed-free":      func() float64 { seed(false); return 0 },
		"seed-locked":    func() float64 { seed(true); return 0 },
		"version":        func() float64 { fmt.Println(runtime.Version()); os.Exit(0); return 0 },
	}
	run := rows[os.Args[1]]
	if run == nil {
		fmt.Fprintf(os.Stderr, "no row %q\n", os.Args[1])
		os.Exit(2)
	}
	fmt.Printf("%.1f\n", run())
}
