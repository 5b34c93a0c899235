// The Go side of io_bench: the same work, printed as "name<TAB>value".
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

func sleepers(n int) {
	var group sync.WaitGroup
	group.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			time.Sleep(10 * time.Millisecond)
			group.Done()
		}()
	}
	group.Wait()
}

func startStop(n int) {
	for i := 0; i < n; i++ {
		time.AfterFunc(time.Hour, func() {}).Stop()
	}
}

func deadlines(n int) {
	left, right := connection()
	defer left.Close()
	defer right.Close()
	for i := 0; i < n; i++ {
		left.SetReadDeadline(time.Now().Add(time.Hour))
	}
}

func connection() (net.Conn, net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	left, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	right, err := listener.Accept()
	if err != nil {
		panic(err)
	}
	return left, right
}

func echo(n int) {
	const connections, size = 64, 512
	var group sync.WaitGroup
	for c := 0; c < connections; c++ {
		left, right := connection()
		group.Add(2)
		go func() {
			defer group.Done()
			buffer := make([]byte, 4096)
			for {
				got, err := right.Read(buffer)
				if err != nil {
					right.Close()
					return
				}
				right.Write(buffer[:got])
			}
		}()
		go func() {
			defer group.Done()
			request, answer := make([]byte, size), make([]byte, size)
			for i := 0; i < n/connections; i++ {
				left.Write(request)
				if _, err := io.ReadFull(left, answer); err != nil {
					panic(err)
				}
			}
			left.Close()
		}()
	}
	group.Wait()
}

func main() {
	rows := map[string]func(int){"sleepers": sleepers, "start-stop": startStop, "deadlines": deadlines, "echo": echo}
	run, ok := rows[os.Args[1]]
	if !ok {
		os.Exit(2)
	}
	var n int
	fmt.Sscan(os.Args[2], &n)
	for round := 0; round < 2; round++ { // the first warms up
		start := time.Now()
		run(n)
		if round == 1 {
			fmt.Println(time.Since(start).Nanoseconds())
		}
	}
}
