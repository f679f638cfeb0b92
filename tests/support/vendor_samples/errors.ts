async function makeAPIRequest(endpoint) {
  try {
    const token = await getValidToken();
    const response = await fetch(endpoint, {
      headers: { 'Authorization': `Bearer ${token}` }
    });
    
    if (response.status === 401) {
      // Token expired, refresh and retry
      const newToken = await refreshToken();
      return makeAPIRequest(endpoint);
    }
    
    if (response.status === 403) {
      throw new Error('Insufficient permissions');
    }
    
    return await response.json();
  } catch (error) {
    console.error('API request failed:', error);
    throw error;
  }
}
