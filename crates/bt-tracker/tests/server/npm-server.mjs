// The server of the package bittorrent-tracker on free ports. Prints them as one JSON object.
import { Server } from 'bittorrent-tracker'

const server = new Server({ http: true, udp: true, ws: false, stats: false })
server.on('error', error => { console.log(JSON.stringify({ error: String(error) })) })
server.on('listening', () => {
  console.log(JSON.stringify({
    http: server.http.address().port, udp: server.udp4.address().port
  }))
})
server.listen(0, { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' })
